// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets between processes of dom0, as data. Either end may also be a
// real process outside: then the rim moves the bytes, in the same cells.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { post } from "../engine/mailbox.ts";

/** The bytes of one direction that were sent and not yet taken. */
interface Stream {
  bytes: Uint8Array;
  /** The sender closed its end: nothing follows these bytes. */
  closed: boolean;
  /** The socket's name stands in its reader's mailbox: once, however much waits. */
  told: boolean;
}

/** What a stream holds when everything was taken. Never written to. */
const NOTHING = new Uint8Array(0);

/** From the client to the server, by socket name. */
export const toServerCell = cellType<Stream>("socket-to-server");
/** From the server to the client, by socket name. */
export const toClientCell = cellType<Stream>("socket-to-client");
/** A socket's server, by socket name: both ends' bytes live while either end is open. */
export const socketCell = cellType<{ server: string; outside: "client" | "server" | "none" }>("socket");
/** Servers that are real processes outside, by server name, and whether they live. */
const outsideServerCell = cellType<{ listens: boolean }>("outside-server");

/** The mailbox in which a server finds the names of sockets with something new. */
export function readyMailbox(server: string): string {
  return `${server}/ready`;
}

/** The mailbox in which the rim finds the names of sockets with something for the outside. */
export const OUTSIDE_MAILBOX = "outside/sockets";

/** From here on the server of that name is a real process, which the rim connects clients to. */
export function placeOutside(cells: Cells, server: string): void {
  cells.add(outsideServerCell, server, { listens: true });
}

/** The real process has ended: nobody takes connections any more. */
export function endOutside(cells: Cells, server: string): void {
  cells.edit(outsideServerCell, server).listens = false;
}

/** Whether somebody takes connections for that server. */
export function listens(cells: Cells, server: string): boolean {
  return cells.get(outsideServerCell, server)?.listens ?? true;
}

/**
 * Opens a connection. Its name must be unique among open sockets: the process's,
 * with a number where it holds several. The server learns of it with its first bytes.
 */
export function connectSocket(
  cells: Cells,
  name: string,
  server: string,
  client: "inside" | "outside" = "inside",
): string {
  const isOutside = cells.get(outsideServerCell, server) !== undefined;
  const outside = client === "outside" ? "client" : isOutside ? "server" : "none";
  cells.add(socketCell, name, { server, outside });
  cells.add(toServerCell, name, { bytes: NOTHING, closed: false, told: false });
  cells.add(toClientCell, name, { bytes: NOTHING, closed: false, told: false });
  return name;
}

/** Sends bytes, which nobody may change from then on, to the server. Nothing happens where the server closed. */
export function sendToServer(cells: Cells, name: string, bytes: Uint8Array): void {
  if (must(cells, toClientCell, name).closed) return;
  append(cells, toServerCell, name, bytes);
  tellServer(cells, name);
}

/** Sends bytes, which nobody may change from then on, to the client. Nothing happens where the client has closed. */
export function sendToClient(cells: Cells, name: string, bytes: Uint8Array): void {
  if (must(cells, toServerCell, name).closed) return;
  append(cells, toClientCell, name, bytes);
  tellClient(cells, name);
}

/** What the client can read: undefined bytes never; empty and closed is the end. */
export function clientReceives(cells: Cells, name: string): { bytes: Uint8Array; closed: boolean } {
  return must(cells, toClientCell, name);
}

/** What the server can read. */
export function serverReceives(cells: Cells, name: string): { bytes: Uint8Array; closed: boolean } {
  return must(cells, toServerCell, name);
}

/** The client takes the first `count` bytes. */
export function clientTakes(cells: Cells, name: string, count: number): void {
  take(cells.edit(toClientCell, name), count);
}

/** The server takes the first `count` bytes. */
export function serverTakes(cells: Cells, name: string, count: number): void {
  take(cells.edit(toServerCell, name), count);
}

/** The client closes its end. */
export function closeByClient(cells: Cells, name: string): void {
  cells.edit(toServerCell, name).closed = true;
  if (must(cells, toClientCell, name).closed) forget(cells, name);
  else tellServer(cells, name);
}

/** The server closes its end. */
export function closeByServer(cells: Cells, name: string): void {
  cells.edit(toClientCell, name).closed = true;
  if (must(cells, toServerCell, name).closed) forget(cells, name);
  else tellClient(cells, name);
}

/** Whether a socket of that name is open at either end. */
export function isOpen(cells: Cells, name: string): boolean {
  return cells.get(socketCell, name) !== undefined;
}

function forget(cells: Cells, name: string): void {
  // The rim must still learn that its end is gone.
  const { outside } = must(cells, socketCell, name);
  if (outside !== "none")
    tell(cells, outside === "client" ? toClientCell : toServerCell, OUTSIDE_MAILBOX, name);
  cells.drop(socketCell, name);
  cells.drop(toServerCell, name);
  cells.drop(toClientCell, name);
}

function append(cells: Cells, type: typeof toServerCell, name: string, bytes: Uint8Array): void {
  const stream = cells.edit(type, name);
  if (stream.bytes.length === 0) {
    stream.bytes = bytes;
    return;
  }
  const joined = new Uint8Array(stream.bytes.length + bytes.length);
  joined.set(stream.bytes);
  joined.set(bytes, stream.bytes.length);
  stream.bytes = joined;
}

function take(stream: Stream, count: number): void {
  stream.bytes = count === stream.bytes.length ? NOTHING : stream.bytes.subarray(count);
}

/** The server is to look at a socket, now or once more. */
export function tellServer(cells: Cells, name: string): void {
  const { server, outside } = must(cells, socketCell, name);
  tell(cells, toServerCell, outside === "server" ? OUTSIDE_MAILBOX : readyMailbox(server), name);
}

function tellClient(cells: Cells, name: string): void {
  if (must(cells, socketCell, name).outside === "client") tell(cells, toClientCell, OUTSIDE_MAILBOX, name);
}

function tell(cells: Cells, type: typeof toServerCell, mailbox: string, name: string): void {
  if (must(cells, type, name).told) return;
  cells.edit(type, name).told = true;
  post(cells, mailbox, name);
}

/** The server has taken a socket's name from its mailbox: of what comes now it is told again. */
export function serverLooks(cells: Cells, name: string): void {
  if (isOpen(cells, name)) cells.edit(toServerCell, name).told = false;
}

/** The rim has taken a socket's name from its mailbox. */
export function outsideLooks(cells: Cells, name: string): void {
  const outside = cells.get(socketCell, name)?.outside;
  if (outside === undefined || outside === "none") return;
  cells.edit(outside === "client" ? toClientCell : toServerCell, name).told = false;
}
