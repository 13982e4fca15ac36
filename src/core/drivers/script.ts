// SPDX-License-Identifier: Apache-2.0
//
// What all hotplug scripts share (tools/hotplug/Linux/xen-hotplug-common.sh).

import { routine } from "../engine/routine.ts";
import { xenstoreWrite } from "./xenstore-tools.ts";

/** What a script is called with. */
export interface ScriptArgs {
  process: string;
  args: readonly string[];
  env: { readonly [name: string]: string };
}

/** The command among a script's arguments: the first that is no assignment (findCommand). */
export function findCommand(args: readonly string[]): string {
  return args.find((arg) => !arg.includes("=")) ?? "";
}

/** Tells whoever waits for the device what is wrong with it: `error`, or `busy` where others use it. */
export const fatal = routine(
  "fatal",
  (a: { process: string; xenbusPath: string; message: string; status: "error" | "busy" }) => ({ ...a }),
  ({ call }) => [
    call("_xenstore_write", xenstoreWrite, (l) => ({
      process: l.process,
      entries: [
        [`${l.xenbusPath}/hotplug-error`, l.message],
        [`${l.xenbusPath}/hotplug-status`, l.status],
      ] as const,
    })),
  ],
);

/** Tells that the device is in place. */
export const success = routine(
  "success",
  (a: { process: string; xenbusPath: string }) => ({ ...a }),
  ({ call }) => [
    call("xenstore_write", xenstoreWrite, (l) => ({
      process: l.process,
      entries: [[`${l.xenbusPath}/hotplug-status`, "connected"]] as const,
    })),
  ],
);
