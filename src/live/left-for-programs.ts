// SPDX-License-Identifier: Apache-2.0
//
// What a host leaves for the programs that run on it, and what the stand-ins of
// dom0's hotplug scripts pass on.

import * as path from "node:path";

/** The folder of what libxl keeps of dom0, in that of the device bridge. */
export function dom0Config(bridge: string): string {
  return path.join(bridge, "lib-xen");
}

/** The folder of the stand-ins, in that of the device bridge. */
export function scriptsFolder(bridge: string): string {
  return path.join(bridge, "scripts");
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
