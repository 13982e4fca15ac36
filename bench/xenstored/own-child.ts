// SPDX-License-Identifier: Apache-2.0
//
// Processes that end with the one that started them, even where that is killed:
// daemons of tests and benchmarks leave nothing behind.

import { existsSync } from "node:fs";

/** util-linux has it on every Debian. */
const SETPRIV = "/usr/bin/setpriv";

/** The same command, to be killed by the kernel when this process is gone; as it is where that cannot be asked for. */
export function ownChild(command: string, args: readonly string[]): [command: string, args: string[]] {
  if (!existsSync(SETPRIV)) return [command, [...args]];
  return [SETPRIV, ["--pdeathsig", "KILL", command, ...args]];
}
