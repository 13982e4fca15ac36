// SPDX-License-Identifier: Apache-2.0
//
// The hypervisor's console: a ring that `xl dmesg` reads (xen/drivers/char/console.c).
// What was logged is provenance: no two states differ by it.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { hardwareDomid } from "./domain.ts";
import { setPending } from "./port.ts";
import { VIRQ_CON_RING, virqPort } from "./virq.ts";

/** Characters the ring keeps (conring_size's default). */
export const CONRING_SIZE = 16384;

const CHUNK = 1024;

interface ConsoleRing {
  /** The ring's text in pieces of 1024 characters; the last one is being filled. */
  chunks: string[];
  /** Characters ever printed (conringp), and how many of those were cleared (conringc). */
  produced: number;
  cleared: number;
}

export const consoleRingCell = cellType<ConsoleRing>("console-ring", {
  provenance: ["chunks", "produced", "cleared"],
});

/** Starts with an empty ring. */
export function consoleInit(cells: Cells): void {
  cells.add(consoleRingCell, 0, { chunks: [""], produced: 0, cleared: 0 });
}

/** Prints lines to the hypervisor's console, each with Xen's mark before it. `text` needs no line break at its end. */
export function printk(host: Host, text: string): void {
  const marked = text
    .split("\n")
    .map((line) => `(XEN) ${line}\n`)
    .join("");
  const ring = host.edit(consoleRingCell, 0);
  let tail = (ring.chunks.pop() ?? "") + marked;
  for (; tail.length > CHUNK; tail = tail.slice(CHUNK)) ring.chunks.push(tail.slice(0, CHUNK));
  ring.chunks.push(tail);
  ring.produced += marked.length;
  const excess = ring.chunks.length - (CONRING_SIZE / CHUNK + 1);
  if (excess > 0) ring.chunks.splice(0, excess);
  const port = virqPort(host, hardwareDomid, 0, VIRQ_CON_RING);
  if (port !== 0) setPending(host, hardwareDomid, port);
}

/**
 * What the ring has from character number `from` on, at most what it keeps and what was not cleared, and
 * the number after it.
 */
export function readConsoleRing(cells: Cells, from: number): { text: string; next: number } {
  const { chunks, produced, cleared } = must(cells, consoleRingCell, 0);
  const kept = chunks.join("");
  const start = Math.max(from, cleared, produced - CONRING_SIZE);
  return { text: start >= produced ? "" : kept.slice(kept.length - (produced - start)), next: produced };
}

/** Forgets what was printed until now (`xl dmesg -c`). */
export function clearConsoleRing(cells: Cells): void {
  const ring = cells.edit(consoleRingCell, 0);
  ring.cleared = ring.produced;
}
