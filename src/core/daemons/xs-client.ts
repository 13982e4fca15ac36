// SPDX-License-Identifier: Apache-2.0
//
// libxenstore in a process: requests go out as bytes on a socket, the caller parks
// until the reply, watch events that come in between are kept in a queue
// (tools/libs/store/xs.c). Which xenstored answers is not known here, nor, in a
// driver domain, that the kernel's /dev/xen/xenbus is no socket.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { clientReceives, clientTakes, closeByClient, connectSocket, sendToServer } from "./unix-socket.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { encode, errorNamed, parse, readLatin1, XS } from "../xenstore/wire.ts";
import { currentDomid } from "./process.ts";
import { XENSTORED } from "./xenstored-ports.ts";

/** A request's type, by its name. */
export type XsOp = keyof typeof XS;

/** A process's connection to xenstored, by the process's name. */
export interface XsHandle {
  /** The socket it holds. */
  socket: string;
  lastRequest: number;
  /** Watch events not yet taken, oldest first. */
  events: { path: string; token: string }[];
  /** libxl's watch slots: the free ones, the one used next last. */
  freeSlots: number[];
  slots: number;
  /** How many watches were ever registered: the second half of a token. */
  watchCounter: number;
}

export const xsHandleCell = cellType<XsHandle>("xs-handle");

/** Where a domain's processes find xenstore: dom0's at xenstored's socket, others' at /dev/xen/xenbus. */
export function xenstoreOf(domid: number): string {
  return domid === 0 ? XENSTORED : `dom${domid}/dev/xen/xenbus`;
}

/** Opens a process's connection (xs_open). */
export function xsOpen(host: Host, process: string): void {
  host.add(xsHandleCell, process, {
    socket: connectSocket(host, `${process}/xs`, xenstoreOf(currentDomid(host))),
    lastRequest: 0,
    events: [],
    freeSlots: [],
    slots: 0,
    watchCounter: 0,
  });
}

/** Closes it, with what it still held: watches, transactions. */
export function xsClose(host: Host, process: string): void {
  closeByClient(host, must(host, xsHandleCell, process).socket);
  host.drop(xsHandleCell, process);
}

/** A whole message at a place in what was received: its body is read when it is taken. */
interface Message {
  type: number;
  start: number;
  end: number;
}

function messageAt(bytes: Uint8Array, at: number): Message | undefined {
  const parsed = parse(bytes, at);
  return parsed.state === "packet" ? parsed : undefined;
}

/** Whether nothing more will be understood: the server has closed, or says what is no message (read_message). */
function isOver(bytes: Uint8Array, at: number, closed: boolean): boolean {
  return closed || parse(bytes, at).state === "failed";
}

function bodyOf(bytes: Uint8Array, { start, end }: Message): string {
  return readLatin1(bytes, start, end);
}

/** Whether something other than watch events waits on the socket, or nothing ever will. */
function replyPending(cells: Cells, process: string): boolean {
  const { bytes, closed } = clientReceives(cells, must(cells, xsHandleCell, process).socket);
  for (let at = 0; ;) {
    const message = messageAt(bytes, at);
    if (message === undefined) return isOver(bytes, at, closed);
    if (message.type !== XS.WATCH_EVENT) return true;
    at = message.end;
  }
}

/** Moves the watch events at the head of the socket into the queue. */
function queueEvents(host: Host, handle: XsHandle): void {
  const { bytes } = clientReceives(host, handle.socket);
  let at = 0;
  for (;;) {
    const message = messageAt(bytes, at);
    if (message?.type !== XS.WATCH_EVENT) break;
    const [path = "", token = ""] = bodyOf(bytes, message).split("\0");
    handle.events.push({ path, token });
    at = message.end;
  }
  if (at > 0) clientTakes(host, handle.socket, at);
}

function takeReply(host: Host, process: string, op: XsOp): string | Failure {
  const handle = host.edit(xsHandleCell, process);
  queueEvents(host, handle);
  const { bytes } = clientReceives(host, handle.socket);
  const reply = messageAt(bytes, 0);
  if (reply === undefined) return fail("EIO");
  const body = bodyOf(bytes, reply);
  clientTakes(host, handle.socket, reply.end);
  if (reply.type === XS.ERROR) return fail(errorNamed(body));
  return reply.type === XS[op] ? body : fail("EBADF");
}

/**
 * One request and its reply (xs_talkv). The result is the reply's payload; an
 * error reply is a failure with xenstored's errno, a lost connection EIO.
 */
export const xsTalk = routine(
  "libxenstore xs_talkv",
  (a: { process: string; t: number; op: XsOp; payload: string }) => ({ ...a, reply: "" }),
  ({ step, waitFor }) => [
    step("write_all", (host, l) => {
      const handle = host.edit(xsHandleCell, l.process);
      sendToServer(host, handle.socket, encode(XS[l.op], ++handle.lastRequest, l.t, l.payload));
    }),
    waitFor("read_reply", (host, l) => replyPending(host, l.process), { unseen: true }),
    step("got reply", (host, l) => {
      const reply = takeReply(host, l.process, l.op);
      if (isFailure(reply)) return reply;
      l.reply = reply;
      return;
    }),
  ],
  (l) => l.reply,
);

/** Whether an event of this watch has come: what a `waitFor` before `xsTakeEvent` asks. */
export function xsEventPending(cells: Cells, process: string, token: string): boolean {
  const handle = must(cells, xsHandleCell, process);
  if (handle.events.some((event) => event.token === token)) return true;
  const { bytes, closed } = clientReceives(cells, handle.socket);
  for (let at = 0; ;) {
    const message = messageAt(bytes, at);
    if (message?.type !== XS.WATCH_EVENT) return isOver(bytes, at, closed);
    if (bodyOf(bytes, message).split("\0")[1] === token) return true;
    at = message.end;
  }
}

/** Takes the oldest event of a watch; its path. Fails with EIO where xenstored is gone. */
export function xsTakeEvent(host: Host, process: string, token: string): string | Failure {
  const handle = host.edit(xsHandleCell, process);
  queueEvents(host, handle);
  const at = handle.events.findIndex((event) => event.token === token);
  const [event] = at < 0 ? [] : handle.events.splice(at, 1);
  return event === undefined ? fail("EIO") : event.path;
}

/** Whether an event of any watch has come: what a daemon's poll asks. */
export function xsHasEvent(cells: Cells, process: string): boolean {
  const handle = must(cells, xsHandleCell, process);
  if (handle.events.length > 0) return true;
  const { bytes, closed } = clientReceives(cells, handle.socket);
  return closed || messageAt(bytes, 0)?.type === XS.WATCH_EVENT;
}

/** Takes the oldest event of any watch (xs_read_watch). Fails with EIO where xenstored is gone. */
export function xsReadWatch(host: Host, process: string): { path: string; token: string } | Failure {
  const handle = host.edit(xsHandleCell, process);
  queueEvents(host, handle);
  return handle.events.shift() ?? fail("EIO");
}

/** A token as libxl makes them, `slot/counter` (libxl__ev_xswatch_register). */
export function takeWatchSlot(host: Host, process: string): { slot: number; token: string } {
  const handle = host.edit(xsHandleCell, process);
  if (handle.freeSlots.length === 0) {
    const slots = (handle.slots + 1) << 2;
    for (let slot = handle.slots; slot < slots; slot++) handle.freeSlots.push(slot);
    handle.slots = slots;
  }
  const slot = handle.freeSlots.pop() as number;
  return { slot, token: `${slot}/${(handle.watchCounter++).toString(16)}` };
}

/** Gives a watch's slot back; its events that are still on the way are of no interest any more. */
export function freeWatchSlot(host: Host, process: string, slot: number, token: string): void {
  const handle = host.edit(xsHandleCell, process);
  handle.events = handle.events.filter((event) => event.token !== token);
  handle.freeSlots.push(slot);
}
