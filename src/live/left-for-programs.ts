// SPDX-License-Identifier: Apache-2.0
//
// What a host leaves for the programs that run on it, and what the stand-ins of
// dom0's hotplug scripts pass on.

import * as fs from "node:fs";
import * as path from "node:path";
import { shellWord } from "./directory.ts";
import type { Directory } from "./directory.ts";

/** The folders that programs have in place of the system's, and where those are mounted. */
export function programFolders(dir: string): {
  [folder in "stage" | "runXen" | "runLock" | "libXen" | "logXen"]: string;
} {
  return {
    stage: path.join(dir, "mount"),
    runXen: path.join(dir, "run-xen"),
    runLock: path.join(dir, "run-lock"),
    libXen: path.join(dir, "lib-xen"),
    logXen: path.join(dir, "log-xen"),
  };
}

/**
 * Takes away what no machine has any more when it starts: what was in /run. libxl keeps there, for one, which
 * domids were in use in the last minute, and gives none of them out (libxl__mark_domid_recent).
 */
export function forgetRun(dir: string): void {
  const { stage, runXen, runLock } = programFolders(dir);
  for (const folder of [stage, runXen, runLock]) fs.rmSync(folder, { recursive: true, force: true });
}

/** The folder of what libxl keeps of dom0, in that of the device bridge. */
export function dom0Config(bridge: string): string {
  return path.join(bridge, "lib-xen");
}

/** The folder of the stand-ins, in that of the device bridge. */
export function scriptsFolder(bridge: string): string {
  return path.join(bridge, "scripts");
}

/** Where Debian has Xen's scripts, and which of them the host has itself. */
const SCRIPTS_FOLDER = "/etc/xen/scripts";
const scriptNames = ["block", "vif-bridge"] as const;

/**
 * Writes the stand-ins into the folder of a device bridge.
 *
 * @param xenstored where the file behind a disk is found; in another domain than dom0 nothing of the machine's is
 */
export function writeScripts(
  { control }: Directory,
  { bridge, xenstored, domid = 0 }: { bridge: string; xenstored: string; domid?: number },
): void {
  const folder = scriptsFolder(bridge);
  const client = path.join(import.meta.dirname, "hotplug-client.ts");
  const words = [process.execPath, client, control, xenstored, String(domid)].map(shellWord).join(" ");
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of scriptNames) {
    const script = path.join(SCRIPTS_FOLDER, name);
    const text = `#!/bin/sh\nunset LD_PRELOAD\nexec ${words} ${script} "$@"\n`;
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o755 });
  }
}

/** What libxl tells a script by its environment (libxl_linux.c, get_hotplug_env). */
export const scriptVariables = [
  "script",
  "XENBUS_TYPE",
  "XENBUS_PATH",
  "XENBUS_BASE_PATH",
  "netdev",
  "INTERFACE",
  "vif",
] as const;
