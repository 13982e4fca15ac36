// SPDX-License-Identifier: Apache-2.0
//
// uname(2): what dom0's kernel says of itself. It behaves as Linux 6.1 does.

import type { Cells } from "../engine/cells.ts";
import { readFileText } from "../daemons/files.ts";
import type { NodeInfo } from "./xl/format/info.ts";

/** Dom0's name is in /etc/hostname; a kernel nobody has given one is "(none)". */
export function uname(cells: Cells): NodeInfo {
  const host = readFileText(cells, "/etc/hostname")?.trim() ?? "";
  return {
    host: host === "" ? "(none)" : host,
    release: "6.1.0-xenolith",
    version: "#1 SMP",
    machine: "x86_64",
  };
}
