// SPDX-License-Identifier: Apache-2.0
//
// What all hotplug scripts share (tools/hotplug/Linux/xen-hotplug-common.sh).

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { xenstoreWrite } from "./xenstore-tools.ts";

/** What a script is called with. */
export interface ScriptArgs {
  process: string;
  /** The domain it runs in. */
  domid: number;
  args: readonly string[];
  env: { readonly [name: string]: string };
}

/** The command among a script's arguments: the first that is no assignment (findCommand). */
export function findCommand(args: readonly string[]): string {
  return args.find((arg) => !arg.includes("=")) ?? "";
}

/** Who holds the lock of a kind of device in a domain, by `ofDomain`: flock(2) on a file in /run/xen-hotplug. */
export const scriptLockCell = cellType<{ holder: string }>("hotplug-lock");

/** Scripts of one kind work one at a time (locking.sh). */
export const claimLock = routine(
  "claim_lock",
  (a: { process: string; kind: string }) => ({ ...a }),
  ({ step, waitFor }) => [
    waitFor("flock", (host, l) => host.get(scriptLockCell, l.kind) === undefined),
    step("flocked", (host, l) => void host.add(scriptLockCell, l.kind, { holder: l.process })),
  ],
);

/** Lets the next script of the kind work. */
export const releaseLock = routine(
  "release_lock",
  (a: { process: string; kind: string }) => ({ ...a }),
  ({ step }) => [step("exec 200>&-", (host, l) => dropLock(host, l.process, l.kind))],
);

/** A script lets go of a lock if it holds it: a file that is closed is not locked. */
export function dropLock(cells: Cells, process: string, kind: string): void {
  if (cells.get(scriptLockCell, kind)?.holder === process) cells.drop(scriptLockCell, kind);
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
