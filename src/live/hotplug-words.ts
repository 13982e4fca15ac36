// SPDX-License-Identifier: Apache-2.0
//
// The stand-ins of dom0's hotplug scripts: where they are, what they pass on.

import * as path from "node:path";

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
