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
 * What the ring has from character number `from` on, at most `room` characters, and
 * the number after them. Where there is no such number, or none any more, it begins
 * with the first that is kept and was not cleared (read_console_ring).
 */
export function readConsoleRing(cells: Cells, from: number, room: number): { text: string; next: number } {
  const { chunks, produced, cleared } = must(cells, consoleRingCell, 0);
  const kept = chunks.join("");
  const first = Math.max(cleared, produced - CONRING_SIZE);
  const start = first < from && from <= produced ? from : first;
  const begin = kept.length - (produced - start);
  const text = kept.slice(begin, begin + Math.min(room, produced - start));
  return { text, next: start + text.length };
}

/** Forgets what was printed before character number `until` (`xl dmesg -c`). */
export function clearConsoleRing(cells: Cells, until: number): void {
  cells.edit(consoleRingCell, 0).cleared = until;
}
