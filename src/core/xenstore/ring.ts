// SPDX-License-Identifier: Apache-2.0
//
// The page a domain shares with xenstored (io/xs_wire.h, docs/misc/xenstore-ring.txt):
// two rings of bytes, requests and responses, each with a consumer and a producer
// index that count on for ever, and three fields. Nothing in the page can be
// trusted: indices are read once and checked before they are used.

import { fail, type Failure } from "../engine/errno.ts";
import { readU32, writeU32 } from "./wire.ts";

/** Access to the page; nobody keeps what `read` returned. */
export interface RingPage {
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
  /** Nobody reads these bytes again: they were taken. */
  stale?(offset: number, length: number): void;
}

/** Bytes of each ring. */
export const RING_SIZE = 1024;

interface RingLayout {
  readonly buffer: number;
  readonly cons: number;
  readonly prod: number;
}
/** Requests: the domain produces, xenstored consumes. */
const REQUESTS: RingLayout = { buffer: 0, cons: 2048, prod: 2052 };
/** Replies and events: xenstored produces, the domain consumes. */
const RESPONSES: RingLayout = { buffer: 1024, cons: 2056, prod: 2060 };
const SERVER_FEATURES = 2064;
const CONNECTION = 2068;
const ERROR = 2072;
const EVTCHN_PORT = 2076;

/** Values of the connection field. */
export const XENSTORE_CONNECTED = 0;
export const XENSTORE_RECONNECT = 1;

function readField(page: RingPage, offset: number): number {
  return readU32(page.read(offset, 4), 0);
}

function writeField(page: RingPage, offset: number, value: number): void {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  page.write(offset, bytes);
}

/** Both indices, and how many bytes are between them; EIO where that cannot be. */
function indices(page: RingPage, ring: RingLayout): { cons: number; prod: number; used: number } | Failure {
  const both = page.read(ring.cons, 8);
  const cons = readU32(both, 0);
  const prod = readU32(both, 4);
  const used = (prod - cons) >>> 0;
  return used > RING_SIZE ? fail("EIO") : { cons, prod, used };
}

/**
 * Takes what is in a ring, at most `lengthMax` bytes. EIO for impossible indices.
 * An empty result means an empty ring.
 */
function consume(page: RingPage, ring: RingLayout, lengthMax: number): Uint8Array | Failure {
  const at = indices(page, ring);
  if ("errno" in at) return at;
  const length = Math.min(at.used, lengthMax);
  const bytes = new Uint8Array(length);
  const start = at.cons & (RING_SIZE - 1);
  const first = Math.min(length, RING_SIZE - start);
  if (first > 0) bytes.set(page.read(ring.buffer + start, first));
  if (length > first) bytes.set(page.read(ring.buffer, length - first), first);
  if (length === 0) return bytes;
  page.stale?.(ring.buffer + start, first);
  if (length > first) page.stale?.(ring.buffer, length - first);
  writeField(page, ring.cons, (at.cons + length) >>> 0);
  // How much has gone through an empty ring says nothing: where hosts are compared, it begins anew.
  if (length === at.used) page.stale?.(ring.cons, 8);
  return bytes;
}

/** Puts as many of the bytes into a ring as fit; returns how many. EIO for impossible indices. */
function produce(page: RingPage, ring: RingLayout, bytes: Uint8Array): number | Failure {
  const at = indices(page, ring);
  if ("errno" in at) return at;
  const length = Math.min(RING_SIZE - at.used, bytes.length);
  const start = at.prod & (RING_SIZE - 1);
  const first = Math.min(length, RING_SIZE - start);
  if (first > 0) page.write(ring.buffer + start, bytes.subarray(0, first));
  if (length > first) page.write(ring.buffer, bytes.subarray(first, length));
  if (length > 0) writeField(page, ring.prod, (at.prod + length) >>> 0);
  return length;
}

/** Free bytes of a ring. EIO for impossible indices. */
function roomIn(page: RingPage, ring: RingLayout): number | Failure {
  const at = indices(page, ring);
  return "errno" in at ? at : RING_SIZE - at.used;
}

/** Whether the indices differ: bytes to take, or indices that cannot be, which the next read reports. */
function hasBytes(page: RingPage, ring: RingLayout): boolean {
  const both = page.read(ring.cons, 8);
  return readU32(both, 0) !== readU32(both, 4);
}

/** xenstored: whether the domain has sent something, or broken its indices. */
export function serverHasRequests(page: RingPage): boolean {
  return hasBytes(page, REQUESTS);
}

/** xenstored: takes what the domain has sent. The other side is to be notified. */
export function serverRead(page: RingPage, lengthMax: number = RING_SIZE): Uint8Array | Failure {
  return consume(page, REQUESTS, lengthMax);
}

/** xenstored: how many bytes it could write. */
export function serverRoom(page: RingPage): number | Failure {
  return roomIn(page, RESPONSES);
}

/** xenstored: writes as much as fits; returns how many bytes. The other side is to be notified. */
export function serverWrite(page: RingPage, bytes: Uint8Array): number | Failure {
  return produce(page, RESPONSES, bytes);
}

/** A domain: whether there are replies or events, or broken indices. */
export function clientHasResponses(page: RingPage): boolean {
  return hasBytes(page, RESPONSES);
}

/** A domain: takes what xenstored has sent. */
export function clientRead(page: RingPage, lengthMax: number = RING_SIZE): Uint8Array | Failure {
  return consume(page, RESPONSES, lengthMax);
}

/** A domain: how many bytes it could write. */
export function clientRoom(page: RingPage): number | Failure {
  return roomIn(page, REQUESTS);
}

/** A domain: writes as much as fits; returns how many bytes. */
export function clientWrite(page: RingPage, bytes: Uint8Array): number | Failure {
  return produce(page, REQUESTS, bytes);
}

/** A domain: empties the ring of replies, or of requests, whose indices cannot be (Linux xb_read, xb_write). */
export function clientEmpties(page: RingPage, ring: "replies" | "requests"): void {
  page.write(ring === "replies" ? RESPONSES.cons : REQUESTS.cons, new Uint8Array(8));
}

/**
 * xenstored, at INTRODUCE: both rings empty; true where the domain was waiting
 * for that (`connection` was RECONNECT) and has to be notified.
 */
export function resetRing(page: RingPage): boolean {
  page.write(REQUESTS.cons, new Uint8Array(16));
  if (readField(page, CONNECTION) !== XENSTORE_RECONNECT) return false;
  writeField(page, CONNECTION, XENSTORE_CONNECTED);
  return true;
}

/** xenstored, when a domain asked for it in the page: empty rings, full of what is no message, and connected. */
export function refillRing(page: RingPage): void {
  page.write(REQUESTS.cons, new Uint8Array(16));
  page.write(REQUESTS.buffer, new Uint8Array(2 * RING_SIZE).fill(0xff));
  writeField(page, CONNECTION, XENSTORE_CONNECTED);
}

/** xenstored, at the first INTRODUCE: the port the page names, which Xen filled in, or 0. */
export function ringPort(page: RingPage): number {
  return readField(page, EVTCHN_PORT);
}

/** xenstored: tells what it can do. */
export function setServerFeatures(page: RingPage, features: number): void {
  writeField(page, SERVER_FEATURES, features);
}

/** xenstored: tells why it does not talk to the domain any more (XENSTORE_ERROR_* in domain.ts). */
export function setRingError(page: RingPage, error: number): void {
  writeField(page, ERROR, error);
}

/** What xenstored can do, as bits XENSTORE_SERVER_FEATURE_*. */
export function serverFeatures(page: RingPage): number {
  return readField(page, SERVER_FEATURES);
}

/** Why xenstored does not talk to the domain, or 0. */
export function ringError(page: RingPage): number {
  return readField(page, ERROR);
}

/** The connection field. */
export function connectionState(page: RingPage): number {
  return readField(page, CONNECTION);
}

/** A domain asks for its connection to start afresh. */
export function requestReconnect(page: RingPage): void {
  writeField(page, CONNECTION, XENSTORE_RECONNECT);
}
