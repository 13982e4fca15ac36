// SPDX-License-Identifier: Apache-2.0
//
// dom0's hotplug scripts for a libxl that runs outside: its devices are dom0's,
// which no program of the machine's could configure. In place of `block` and
// `vif-bridge`, programs on a host find scripts that have the host run its own.

import { input } from "../core/engine/input.ts";
import { startHotplug } from "../core/drivers/hotplug.ts";
import { isAlive } from "./bridge/hypercalls.ts";
import type { CallerFile } from "./caller-files.ts";
import type { Asker, Request } from "./control.ts";
import { filesGiven } from "./dom0-files.ts";
import type { LiveHost } from "./live-host.ts";
import { givenFile } from "./xl-session.ts";

/** A script that was started outside. */
export interface ScriptStarted {
  env: { [name: string]: string };
  /** What is behind the device, where that is a file. */
  files: CallerFile[];
  /** The domain it runs in. */
  domid: number;
}

let started = 0;

/** A libxl outside executed a script. */
const scriptExecuted = input(
  "hotplug",
  (
    host,
    data: { name: string; script: string; args: string[]; env: { [name: string]: string }; domid: number },
  ) => {
    const { name, script, args, env, domid } = data;
    startHotplug(host, name, { script, args, env }, domid);
  },
);

/** Runs one of a domain's scripts for whoever executed its stand-in; exits as it does. */
export function runScript(host: LiveHost, { args, data }: Request, asker: Asker): void {
  const { env = {}, files = [], domid = 0 } = (data ?? {}) as Partial<ScriptStarted>;
  if (!isAlive(host.world, domid)) {
    asker.say({ err: `domain ${domid} is no more\n` });
    return asker.say({ exit: 1 });
  }
  const [script = "", ...words] = args;
  const name = `${domid === 0 ? "" : `dom${domid}/`}script.${++started}`;
  if (files.length > 0) host.driver.give(filesGiven, { files: files.map(givenFile) });
  const stop = host.recorder.listen(({ kind, data: event }) => {
    if (kind === "stderr" && event.process === name) asker.say({ err: event.text });
    if (kind !== "process.exit" || event.process !== name) return;
    stop();
    asker.say({ exit: event.status });
  });
  host.driver.give(scriptExecuted, { name, script, args: words, env, domid });
}
