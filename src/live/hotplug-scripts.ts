// SPDX-License-Identifier: Apache-2.0
//
// dom0's hotplug scripts for a libxl that runs outside: its devices are dom0's,
// which no program of the machine's could configure. In place of `block` and
// `vif-bridge`, programs on a host find scripts that have the host run its own.

import * as fs from "node:fs";
import * as path from "node:path";
import { input } from "../core/engine/input.ts";
import { startHotplug } from "../core/drivers/hotplug.ts";
import type { CallerFile } from "./caller-files.ts";
import type { Asker, Request } from "./control.ts";
import { shellWord } from "./directory.ts";
import type { Directory } from "./directory.ts";
import { filesGiven } from "./dom0-files.ts";
import type { LiveHost } from "./live-host.ts";
import { scriptsFolder } from "./left-for-programs.ts";
import { givenFile } from "./xl-session.ts";

/** Where Debian has Xen's scripts, and which of them the host has itself. */
export const SCRIPTS_FOLDER = "/etc/xen/scripts";
export const scriptNames = ["block", "vif-bridge"] as const;

/** A script that was started outside. */
export interface ScriptStarted {
  env: { [name: string]: string };
  /** What is behind the device, where that is a file. */
  files: CallerFile[];
}

/** Writes them. */
export function writeScripts({ bridge, control, xenstored }: Directory): void {
  const folder = scriptsFolder(bridge);
  const client = path.join(import.meta.dirname, "hotplug-client.ts");
  const words = [process.execPath, client, control, xenstored].map(shellWord).join(" ");
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of scriptNames) {
    const script = path.join(SCRIPTS_FOLDER, name);
    const text = `#!/bin/sh\nunset LD_PRELOAD\nexec ${words} ${script} "$@"\n`;
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o755 });
  }
}

let started = 0;

/** A libxl outside executed a script. */
const scriptExecuted = input(
  "hotplug",
  (host, data: { name: string; script: string; args: string[]; env: { [name: string]: string } }) => {
    const { name, script, args, env } = data;
    startHotplug(host, name, { script, args, env });
  },
);

/** Runs one of dom0's scripts for whoever executed its stand-in; exits as it does. */
export function runScript(host: LiveHost, { args, data }: Request, asker: Asker): void {
  const { env = {}, files = [] } = (data ?? {}) as Partial<ScriptStarted>;
  const [script = "", ...words] = args;
  const name = `script.${++started}`;
  if (files.length > 0) host.driver.give(filesGiven, { files: files.map(givenFile) });
  const stop = host.recorder.listen(({ kind, data: event }) => {
    if (kind === "stderr" && event.process === name) asker.say({ err: event.text });
    if (kind !== "process.exit" || event.process !== name) return;
    stop();
    asker.say({ exit: event.status });
  });
  host.driver.give(scriptExecuted, { name, script, args: words, env });
}
