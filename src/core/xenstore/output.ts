// SPDX-License-Identifier: Apache-2.0
//
// What connections have to take: replies and events, in order, until the
// transport has room for them.

import { type Cells, cellType, type DeepReadonly, must } from "../engine/cells.ts";
import { eventQueued, eventTaken, replyTaken, type RequestRef } from "./pending.ts";
import type { Store } from "./ports.ts";
import { charge, exceedsMemory, isUnprivilegedDomid, settingsOf, traitsOf } from "./quota.ts";
import { encodeInto, HEADER_SIZE, parse, readLatin1, XS } from "./wire.ts";

/** The number of the first socket connection: above every domid. */
export const FIRST_SOCKET = 0x8000;

/** A message waiting to be taken. */
interface Message {
  type: number;
  reqId: number;
  txId: number;
  /** Payload as a latin1 string. */
  body: string;
  /** The request of an unprivileged domain that it answers, or that brought it, where that brought events. */
  request: RequestRef | null;
}

/** What a connection has to take; there as long as the connection, so that answering adds no cell. */
export interface Output {
  messages: Message[];
  /** Bytes of the first message already taken. */
  taken: number;
  /** Bytes of all messages, those taken of the first not deducted. */
  bytes: number;
  /**
   * How many of the messages are events with this body, once there are more than
   * a few; null before. `messages` say the same, only slower.
   */
  events: Map<string, number> | null;
  /** When the oldest event is dropped, microseconds, or null. */
  eventDeadline: number | null;
  /** For each event after the oldest: microseconds between its deadline and that of the one before. */
  eventIntervals: number[];
  /** How many events were dropped as they were not taken in time. */
  timedOut: number;
}
export const outputType = cellType<Output>("xenstore-output", {
  provenance: ["events", "timedOut"],
  deadlines: ["eventDeadline"],
});

/** So many messages are looked through for an event; from more on, events are counted. */
const LOOK_THROUGH_MAX = 16;

/** Nothing to take: for a new connection. */
export function addOutput(cells: Cells, conn: number): void {
  cells.add(outputType, conn, {
    messages: [],
    taken: 0,
    bytes: 0,
    events: null,
    eventDeadline: null,
    eventIntervals: [],
    timedOut: 0,
  });
}

function outputFor(store: Store, conn: number): Output {
  const output = store.cells.edit(outputType, conn);
  if (output.messages.length === 0) store.queued?.(conn);
  return output;
}

/** Queues a reply. `body` is within the payload's limit. */
export function queueReply(
  store: Store,
  conn: number,
  type: number,
  reqId: number,
  txId: number,
  body: string,
  request: RequestRef | null = null,
): void {
  const output = outputFor(store, conn);
  output.messages.push({ type, reqId, txId, body, request });
  output.bytes += HEADER_SIZE + body.length;
  if (conn < FIRST_SOCKET) {
    charge(store.cells, conn, "memory", HEADER_SIZE + body.length);
    charge(store.cells, conn, "outstanding", 1);
  }
}

/**
 * Queues a watch event, `path NUL token NUL`. One exactly like it that still
 * waits makes it superfluous, but for special watches, which count. A domain that
 * holds too much already gets none (send_event in xenstored_core.c).
 */
export function queueEvent(store: Store, conn: number, body: string, special: boolean): void {
  if (conn < FIRST_SOCKET && exceedsMemory(store.cells, conn, HEADER_SIZE + body.length)) return;
  const drops = !special && traitsOf(store.cells).requests !== "oxenstored";
  if (drops && isWaiting(must(store.cells, outputType, conn), body)) return;
  pushEvent(store, conn, body);
}

function isWaiting({ messages, events }: DeepReadonly<Output>, body: string): boolean {
  if (events !== null) return events.has(body);
  for (const message of messages) if (message.body === body && message.type === XS.WATCH_EVENT) return true;
  return false;
}

/** Events with the same body are counted from now on. */
function countEvents(output: Output): Map<string, number> {
  const events = new Map<string, number>();
  for (const { type, body } of output.messages)
    if (type === XS.WATCH_EVENT) events.set(body, (events.get(body) ?? 0) + 1);
  return events;
}

function pushEvent(store: Store, conn: number, body: string): void {
  const output = outputFor(store, conn);
  const request = store.request === undefined ? null : eventQueued(store.cells, store.request);
  output.messages.push({ type: XS.WATCH_EVENT, reqId: 0, txId: 0, body, request });
  if (output.events !== null) output.events.set(body, (output.events.get(body) ?? 0) + 1);
  else if (output.messages.length > LOOK_THROUGH_MAX) output.events = countEvents(output);
  output.bytes += HEADER_SIZE + body.length;
  if (conn >= FIRST_SOCKET) return;
  charge(store.cells, conn, "memory", HEADER_SIZE + body.length);
  const timeout = settingsOf(store.cells).eventTimeout;
  if (timeout === 0 || !isUnprivilegedDomid(store.cells, conn)) return;
  const deadline = store.now + timeout;
  if (output.eventDeadline === null) {
    output.eventDeadline = deadline;
    // Behind one that is partly taken: who waits for deadlines has to know.
    store.queued?.(conn);
    return;
  }
  let last = output.eventDeadline;
  for (const interval of output.eventIntervals) last += interval;
  output.eventIntervals.push(Math.max(0, deadline - last));
}

/** Bytes a connection has to take. */
export function outputLength(cells: Cells, conn: number): number {
  const output = cells.get(outputType, conn);
  return output === undefined ? 0 : output.bytes - output.taken;
}

/**
 * Takes up to `bytesMax` bytes of what a connection has to take, into `target`
 * from `at` on; returns how many. A message may be taken in pieces.
 */
export function takeOutput(
  store: Store,
  conn: number,
  target: Uint8Array,
  at: number,
  bytesMax: number,
): number {
  let room = Math.min(bytesMax, target.length - at);
  if (room === 0) return 0;
  const output = store.cells.edit(outputType, conn);
  let count = 0;
  let done = 0;
  for (const message of output.messages) {
    const length = HEADER_SIZE + message.body.length - output.taken;
    if (length > room) break;
    count += takeMessage(message, output.taken, target, at + count);
    room -= length;
    const wasBegun = output.taken > 0;
    output.taken = 0;
    done++;
    messageTaken(store, conn, output, message, wasBegun);
  }
  if (done === output.messages.length) {
    clear(output);
    return count;
  }
  if (done > 0) output.messages.splice(0, done);
  const first = output.messages[0];
  if (first !== undefined && room > 0) count += takePart(output, first, target, at + count, room);
  return count;
}

/** All is taken. The short array stays: a client in lockstep has one message at a time. */
function clear(output: Output): void {
  if (output.messages.length > LOOK_THROUGH_MAX) output.messages = [];
  else while (output.messages.length > 0) output.messages.pop();
  output.events = null;
}

/** The rest of a message from byte `from` on. */
function takeMessage(message: Message, from: number, target: Uint8Array, at: number): number {
  if (from === 0) return encodeInto(target, at, message.type, message.reqId, message.txId, message.body) - at;
  const whole = new Uint8Array(HEADER_SIZE + message.body.length);
  encodeInto(whole, 0, message.type, message.reqId, message.txId, message.body);
  target.set(whole.subarray(from), at);
  return whole.length - from;
}

function takePart(output: Output, message: Message, target: Uint8Array, at: number, room: number): number {
  const whole = new Uint8Array(HEADER_SIZE + message.body.length);
  encodeInto(whole, 0, message.type, message.reqId, message.txId, message.body);
  target.set(whole.subarray(output.taken, output.taken + room), at);
  // The rest of an event has no deadline (check_event_timeout): the next one's counts.
  if (output.taken === 0 && message.type === XS.WATCH_EVENT) nextDeadlineCounts(output);
  output.taken += room;
  return room;
}

function messageTaken(store: Store, conn: number, output: Output, message: Message, wasBegun: boolean): void {
  const length = HEADER_SIZE + message.body.length;
  output.bytes -= length;
  if (message.type === XS.WATCH_EVENT) {
    eventGone(store, output, message);
    if (!wasBegun) nextDeadlineCounts(output);
  }
  store.observe?.({
    kind: "out",
    conn,
    type: message.type,
    reqId: message.reqId,
    txId: message.txId,
    body: message.body,
  });
  if (conn >= FIRST_SOCKET) return;
  charge(store.cells, conn, "memory", -length);
  if (message.type !== XS.WATCH_EVENT) replyTaken(store.cells, conn, message.request);
}

/** The oldest event went: its like may be queued again. */
function eventGone(store: Store, output: Output, { body, request }: Message): void {
  causeGone(store, request);
  if (output.events !== null) {
    const waiting = (output.events.get(body) ?? 0) - 1;
    if (waiting > 0) output.events.set(body, waiting);
    else output.events.delete(body);
  }
}

/** The oldest event that had a deadline has none any more. */
function nextDeadlineCounts(output: Output): void {
  if (output.eventDeadline === null) return;
  const interval = output.eventIntervals.shift();
  output.eventDeadline = interval === undefined ? null : output.eventDeadline + interval;
}

/** The domain whose request brought an event may be read from again now that this is gone. */
function causeGone(store: Store, request: RequestRef | null): void {
  if (request !== null && eventTaken(store.cells, request)) store.queued?.(request.domid);
}

/** When the next event is dropped that a domain does not take, microseconds, or null; see `expireEvents`. */
export function nextDeadline(cells: Cells): number | null {
  let next: number | null = null;
  for (const conn of cells.ids(outputType)) {
    const deadline = cells.get(outputType, conn)?.eventDeadline ?? null;
    if (deadline !== null && (next === null || deadline < next)) next = deadline;
  }
  return next;
}

/**
 * Drops the events a domain has not taken in time (check_event_timeout in
 * xenstored_core.c). One that is partly taken stays, for as long as it takes.
 */
export function expireEvents(store: Store, conn: number): void {
  const { cells } = store;
  const deadline = cells.get(outputType, conn)?.eventDeadline ?? null;
  if (deadline === null || deadline > store.now) return;
  const output = cells.edit(outputType, conn);
  for (let i = 0; i < output.messages.length;) {
    const message = output.messages[i] as Message;
    if (message.type !== XS.WATCH_EVENT || (i === 0 && output.taken > 0)) {
      i++;
      continue;
    }
    if (output.eventDeadline === null || output.eventDeadline > store.now) break;
    output.messages.splice(i, 1);
    output.bytes -= HEADER_SIZE + message.body.length;
    charge(cells, conn, "memory", -(HEADER_SIZE + message.body.length));
    eventGone(store, output, message);
    nextDeadlineCounts(output);
    output.timedOut++;
    store.log?.(`watch event path ${message.body.split("\0", 1)[0]} for domain ${conn} timed out`);
  }
  if (output.messages.length === 0) clear(output);
}

/** A copy of what a connection has to take; the first `partial` bytes are the rest of a message partly taken. */
export function copyOutput(cells: Cells, conn: number): { bytes: Uint8Array; partial: number } {
  const output = cells.get(outputType, conn);
  if (output === undefined) return { bytes: new Uint8Array(0), partial: 0 };
  const whole = new Uint8Array(output.bytes);
  let at = 0;
  for (const { type, reqId, txId, body } of output.messages)
    at = encodeInto(whole, at, type, reqId, txId, body);
  const partial =
    output.taken === 0 ? 0 : HEADER_SIZE + (output.messages[0] as Message).body.length - output.taken;
  return { bytes: whole.subarray(output.taken), partial };
}

/** Type of a message of which only the end is known; nobody ever sees its header. */
const XS_INVALID = 0xffff;

/** Queues what `copyOutput` gave, in a xenstored that takes over. False where the bytes are no messages. */
export function restoreOutput(store: Store, conn: number, bytes: Uint8Array, partial: number): boolean {
  if (partial > 0) {
    queueReply(store, conn, XS_INVALID, 0, 0, readLatin1(bytes, 0, partial));
    outputFor(store, conn).taken = HEADER_SIZE;
  }
  for (let at = partial; at < bytes.length;) {
    const parsed = parse(bytes, at);
    if (parsed.state !== "packet") return false;
    const body = readLatin1(bytes, parsed.start, parsed.end);
    if (parsed.type === XS.WATCH_EVENT) pushEvent(store, conn, body);
    else queueReply(store, conn, parsed.type, parsed.reqId, parsed.txId, body);
    at = parsed.end;
  }
  return true;
}

/** Forgets all a connection has to take. */
export function forgetOutput(store: Store, conn: number): void {
  const { cells } = store;
  const { messages, bytes } = must(cells, outputType, conn);
  if (messages.length === 0) return;
  if (conn < FIRST_SOCKET) charge(cells, conn, "memory", -bytes);
  for (const { type, request } of messages) {
    if (type === XS.WATCH_EVENT) causeGone(store, request);
    else if (conn < FIRST_SOCKET) replyTaken(cells, conn, request);
  }
  const output = cells.edit(outputType, conn);
  clear(output);
  output.taken = 0;
  output.bytes = 0;
  output.eventDeadline = null;
  output.eventIntervals = [];
}

/** The connection goes, and with it all it has to take. */
export function dropOutput(store: Store, conn: number): void {
  forgetOutput(store, conn);
  store.cells.drop(outputType, conn);
}
