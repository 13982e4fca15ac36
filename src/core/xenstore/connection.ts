// SPDX-License-Identifier: Apache-2.0
//
// Connections: a client on a socket or a domain on its ring, and what it has sent
// that is not yet a whole message. A domain's connection has the domid as its
// number; sockets come after the last domid.

import { type Cells, cellType, must } from "../engine/cells.ts";
import { addOutput, dropOutput, FIRST_SOCKET, forgetOutput } from "./output.ts";
import { domainPath } from "./path.ts";
import type { Store } from "./ports.ts";
import { domainSettingsOf, isUnprivilegedDomid, settingsOf } from "./quota.ts";

import { HEADER_SIZE, readU32 } from "./wire.ts";

export { FIRST_SOCKET } from "./output.ts";

/** One client. */
export interface Connection {
  kind: "socket" | "ring";
  /** The domain it speaks for: 0 for a socket. */
  domid: number;
  privileged: boolean;
  /** The domain whose permissions it has besides its own (SET_TARGET), or null. */
  target: number | null;
  /** It broke the protocol: it is kept until its domain dies, but neither read nor written. */
  ignored: boolean;
  /** The next transaction identifier to try. */
  nextTransaction: number;
  /** Identifiers of its open transactions, in order of their start. */
  transactions: number[];
}
export const connectionType = cellType<Connection>("xenstore-connection");

/** Which socket numbers are free: all from `next` on and those listed, ascending. */
interface SocketNumbers {
  next: number;
  free: number[];
}
const socketNumbersType = cellType<SocketNumbers>("xenstore-socket-numbers");

/** The beginning of a message whose rest has not come; no cell where there is none. */
interface Input {
  bytes: Uint8Array;
}
const inputType = cellType<Input>("xenstore-input");

/** A new connection of a client on a socket; returns its number. Its end is `disconnect`. */
export function connectSocket(store: Store): number {
  const { cells } = store;
  if (cells.get(socketNumbersType, 0) === undefined)
    cells.add(socketNumbersType, 0, { next: FIRST_SOCKET, free: [] });
  const numbers = cells.edit(socketNumbersType, 0);
  const conn = numbers.free.shift() ?? numbers.next++;
  addConnection(store, conn, "socket", 0, true);
  return conn;
}

/** The connection of an introduced domain; its number is the domid. */
export function connectRing(store: Store, domid: number): void {
  addConnection(store, domid, "ring", domid, !isUnprivilegedDomid(store.cells, domid));
}

function addConnection(
  store: Store,
  conn: number,
  kind: Connection["kind"],
  domid: number,
  privileged: boolean,
): void {
  store.cells.add(connectionType, conn, {
    kind,
    domid,
    privileged,
    target: null,
    ignored: false,
    nextTransaction: 0,
    transactions: [],
  });
  addOutput(store.cells, conn);
  observeConnection(store, "create-connection", conn);
}

/** Removes the connection itself, after its watches and transactions. */
export function dropConnection(store: Store, conn: number): void {
  const { cells } = store;
  const { kind } = must(cells, connectionType, conn);
  dropOutput(store, conn);
  dropInput(cells, conn);
  cells.drop(connectionType, conn);
  if (kind === "socket") freeSocketNumber(cells, conn);
  observeConnection(store, "destroy-connection", conn);
}

/** Numbers are reused lowest first, so that the same clients always get the same numbers. */
function freeSocketNumber(cells: Cells, conn: number): void {
  const numbers = cells.edit(socketNumbersType, 0);
  if (conn === numbers.next - 1) {
    numbers.next--;
    while (numbers.free.at(-1) === numbers.next - 1) {
      numbers.free.pop();
      numbers.next--;
    }
    return;
  }
  let low = 0;
  let high = numbers.free.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers.free[middle] as number) < conn) low = middle + 1;
    else high = middle;
  }
  numbers.free.splice(low, 0, conn);
}

function observeConnection(
  store: Store,
  kind: "create-connection" | "destroy-connection",
  conn: number,
): void {
  store.observe?.({ kind, conn, type: -1, reqId: 0, txId: 0, body: "" });
}

/** What relative paths of a connection start with (get_implicit_path in xenstored_domain.c). */
export function implicitPath(connection: { readonly domid: number }): string {
  return domainPath(connection.domid);
}

/** What a connection has sent of an unfinished message, or undefined. */
export function pendingInput(cells: Cells, conn: number): Uint8Array | undefined {
  return cells.get(inputType, conn)?.bytes;
}

/** Keeps a copy of `from[start, end)`, the bytes of an unfinished message; of none, nothing. */
export function keepPending(cells: Cells, conn: number, from: Uint8Array, start: number, end: number): void {
  if (start === end) {
    dropInput(cells, conn);
    return;
  }
  // The copy is a plain Uint8Array whatever the transport's buffers are.
  const bytes = new Uint8Array(from.subarray(start, end));
  if (cells.get(inputType, conn) === undefined) cells.add(inputType, conn, { bytes });
  else cells.edit(inputType, conn).bytes = bytes;
}

/** How many bytes complete the header or, once that is there, the message a connection is sending. */
export function inputWanted(cells: Cells, conn: number): number {
  const pending = cells.get(inputType, conn)?.bytes;
  if (pending === undefined) return HEADER_SIZE;
  if (pending.length < HEADER_SIZE) return HEADER_SIZE - pending.length;
  return HEADER_SIZE + readU32(pending, 12) - pending.length;
}

/** Whether a connection has sent the beginning of a message, but not its end. */
export function isAmidMessage(cells: Cells, conn: number): boolean {
  return cells.get(inputType, conn) !== undefined;
}

function dropInput(cells: Cells, conn: number): void {
  if (cells.get(inputType, conn) !== undefined) cells.drop(inputType, conn);
}

/** Forgets all a connection has sent or has to take: it starts afresh (domain_conn_reset in xenstored_domain.c). */
export function resetBuffers(store: Store, conn: number): void {
  forgetOutput(store, conn);
  dropInput(store.cells, conn);
}

/** What a connection may use: bits FEATURE_* (feature_available in domain.c). */
export function featuresOf(cells: Cells, conn: number): number {
  return conn < FIRST_SOCKET ? domainSettingsOf(cells, conn).features : settingsOf(cells).features;
}
