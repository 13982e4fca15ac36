// SPDX-License-Identifier: Apache-2.0
//
// Keys that somebody types at the terminal of a domain's console.

import { consoleTty, writeConsoleInput } from "../core/daemons/xenconsoled-cells.ts";
import type { Cells } from "../core/engine/cells.ts";
import { input } from "../core/engine/input.ts";
import { domainById } from "../core/hypervisor/domain.ts";
import { parseCommandLine } from "../core/toolstack/xl/parse-command.ts";
import { domainRows } from "./domains.ts";

/** Ctrl-], which leaves a console. */
export const LEAVE_CONSOLE = "\u001d";

/** The domain whose console a command line attaches to, as it was written; null where it attaches to none. */
export function consoleDomain(argv: readonly string[]): string | null {
  const parsed = parseCommandLine(argv);
  return parsed.kind === "command" && parsed.command.verb === "console" ? parsed.command.domain : null;
}

/** The domid that a name or a number means. */
function domidOf(cells: Cells, now: number, domain: string): number | null {
  const found = domainRows(cells, now).find(({ domid, name }) => name === domain || String(domid) === domain);
  return found?.domid ?? null;
}

/**
 * Text typed at a console, a character a byte. What does not fit into the ring is
 * lost, as at a terminal whose program does not read.
 */
export const consoleTyped = input("console.typed", (host, data: { domain: string; text: string }) => {
  const domid = domidOf(host, host.now, data.domain);
  if (domid === null || domainById(host, domid) === undefined || consoleTty(host, domid) === null) return;
  writeConsoleInput(host, domid, data.text);
});
