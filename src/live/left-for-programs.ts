// SPDX-License-Identifier: Apache-2.0
//
// What a host leaves for the programs that run on it, and what the stand-ins of
// dom0's hotplug scripts pass on.

import * as fs from "node:fs";
import * as path from "node:path";
import { shellWord } from "./directory.ts";
import type { Directory } from "./directory.ts";

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

/** Writes the stand-ins. */
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
