// SPDX-License-Identifier: Apache-2.0
//
// What xenconsoled keeps of each domain, and how others look at a console
// (tools/console/daemon/io.c, struct domain, struct console, struct buffer).

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { bitmap, clearBit, findNextZeroBit, setBit, testBit } from "../hypervisor/bitmap.ts";
import { send } from "../hypervisor/event-channel-op.ts";
import { readU32, writeLatin1, writeU32 } from "../xenstore/wire.ts";

/** The process's name, and its name in hypercalls. */
export const XENCONSOLED = "xenconsoled";
export const XENCONSOLED_CALLER = { domid: 0, process: XENCONSOLED };

/** A domain xenconsoled knows, and its console, by domid. */
export interface DomainConsole {
  /** The directory it watches: `/local/domain/1/console`. */
  xspath: string;
  isDead: boolean;
  /** Frame of the mapped ring, and the grant mapping's handle; -1 while it is not mapped. */
  mfn: number;
  handle: number;
  localPort: number;
  remotePort: number;
  /** Number of the pseudo terminal `/dev/pts/N`; -1 while there is none. */
  pty: number;
  /** Most characters kept for a reader of the terminal; 0 for any number. */
  maxCapacity: number;
  /** File the output is logged to, or null. */
  log: string | null;
}

/** The mailbox in which events of consoles' ports arrive, as port numbers. */
export const XENCONSOLED_EVENTS = "xenconsoled/evtchn";

/** Whose console a port of xenconsoled's is for, by port. */
export const consolePortCell = cellType<{ domid: number }>("console-port");

/** Numbers of terminals that are open, where they are simulated. */
export const ptysInUse = bitmap("ptys", 3);

/** Real terminals that are ready, by their numbers, where somebody makes them. By 0. */
export const ptyStockCell = cellType<{ ptys: number[] }>("pty-stock");

/** Takes a number for a console's terminal; there must be one (`ptyReady`). */
export function takePty(host: Host, domid: number): number {
  const stock = host.get(ptyStockCell, 0);
  const pty = stock === undefined ? findNextZeroBit(host, ptysInUse, 0) : Math.min(...stock.ptys);
  if (stock === undefined) setBit(host, ptysInUse, pty);
  else host.edit(ptyStockCell, 0).ptys = stock.ptys.filter((other) => other !== pty);
  host.emit("terminal", { domid, pty, open: true });
  return pty;
}

/** Whether a console could have a terminal now. */
export function ptyReady(cells: Cells): boolean {
  return cells.get(ptyStockCell, 0)?.ptys.length !== 0;
}

/** Gives a terminal back. */
export function releasePty(host: Host, domid: number, pty: number): void {
  if (testBit(host, ptysInUse, pty)) clearBit(host, ptysInUse, pty);
  host.emit("terminal", { domid, pty, open: false });
}

export const domainConsoleCell = cellType<DomainConsole>("console-domain");

/** What came from a domain and nobody has read from its terminal. */
export const consoleBufferCell = cellType<{ text: string }>("console-buffer");

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** What a domain printed, as it is written to its log file. */
    console: { domid: number; log: string; text: string };
    /** A console got its terminal, or gave it back: `pty` is its number below /dev/pts. */
    terminal: { domid: number; pty: number; open: boolean };
  }
}

const IN_BYTES = 1024;
const OUT = 1024;
const OUT_BYTES = 2048;
const INDICES = { inCons: 3072, inProd: 3076, outCons: 3080, outProd: 3084 } as const;

function index(host: Host, mfn: number, offset: number): number {
  return readU32(host.memory.read(mfn, offset, 4), 0);
}

function setIndex(host: Host, mfn: number, offset: number, value: number): void {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  host.memory.write(mfn, offset, bytes);
}

/** Takes what a domain has written into its ring; "" where that is nothing, or its indices are impossible. */
export function takeOutput(host: Host, console: DomainConsole): string {
  const cons = index(host, console.mfn, INDICES.outCons);
  const prod = index(host, console.mfn, INDICES.outProd);
  const size = (prod - cons) >>> 0;
  if (size === 0 || size > OUT_BYTES) return "";
  const at = cons % OUT_BYTES;
  const first = Math.min(size, OUT_BYTES - at);
  let text = "";
  for (const byte of host.memory.read(console.mfn, OUT + at, first)) text += String.fromCharCode(byte);
  if (size > first)
    for (const byte of host.memory.read(console.mfn, OUT, size - first)) text += String.fromCharCode(byte);
  setIndex(host, console.mfn, INDICES.outCons, prod);
  send(host, XENCONSOLED_CALLER, { port: console.localPort });
  return text;
}

/** Keeps output for a reader of the terminal; of more than the console may hold, the middle is lost. */
export function bufferAppend(host: Host, domid: number, maxCapacity: number, text: string): void {
  const buffer = host.edit(consoleBufferCell, domid);
  buffer.text += text;
  if (maxCapacity === 0 || buffer.text.length <= (5 * maxCapacity) / 4) return;
  const over = buffer.text.length - maxCapacity;
  const half = maxCapacity / 2;
  buffer.text = buffer.text.slice(0, half) + buffer.text.slice(half + over);
}

/** The terminal of a domain's console, or null: what `xl console` opens. */
export function consoleTty(cells: Cells, domid: number): string | null {
  const console = cells.get(domainConsoleCell, domid);
  return console === undefined || console.pty < 0 ? null : `/dev/pts/${console.pty}`;
}

/** Whether a domain has printed something that nobody has read yet: what a reader of the terminal waits for. */
export function consoleHasOutput(cells: Cells, domid: number): boolean {
  return (cells.get(consoleBufferCell, domid)?.text ?? "") !== "";
}

/** Takes what was printed and not read: what a reader of the terminal gets. */
export function readConsole(host: Host, domid: number): string {
  if (!consoleHasOutput(host, domid)) return "";
  const buffer = host.edit(consoleBufferCell, domid);
  const { text } = buffer;
  buffer.text = "";
  return text;
}

/** Writes keys typed at the terminal into the domain's ring; returns how many fitted. */
export function writeConsoleInput(host: Host, domid: number, text: string): number {
  const console = must(host, domainConsoleCell, domid);
  const prod = index(host, console.mfn, INDICES.inProd);
  const used = (prod - index(host, console.mfn, INDICES.inCons)) >>> 0;
  const count = used > IN_BYTES ? 0 : Math.min(text.length, IN_BYTES - used);
  for (let at = 0; at < count; at++) {
    const byte = new Uint8Array(1);
    writeLatin1(byte, 0, text[at] as string);
    host.memory.write(console.mfn, (prod + at) % IN_BYTES, byte);
  }
  if (count === 0) return 0;
  setIndex(host, console.mfn, INDICES.inProd, (prod + count) >>> 0);
  send(host, XENCONSOLED_CALLER, { port: console.localPort });
  return count;
}
