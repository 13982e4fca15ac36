// SPDX-License-Identifier: Apache-2.0
//
// A page shared by a frontend and a backend: producers' indices and a ring of
// slots, each for a request and the response that takes its place
// (xen/include/public/io/ring.h). What the other side wrote is read once and
// checked before it is used.

import type { Pages } from "../hypervisor/guest-access.ts";
import { readU32, writeU32 } from "../xenstore/wire.ts";

const REQ_PROD = 0;
const REQ_EVENT = 4;
const RSP_PROD = 8;
const RSP_EVENT = 12;
const SLOTS = 64;

/** A kind of ring: how big its slots are, and how many there are. */
export interface RingLayout {
  readonly slotBytes: number;
  readonly slots: number;
}

/** Slots of that size: as many as fit into a page, down to a power of two. */
export function ringLayout(slotBytes: number): RingLayout {
  return { slotBytes, slots: 2 ** Math.floor(Math.log2((4096 - SLOTS) / slotBytes)) };
}

function setIndex(memory: Pages, mfn: number, offset: number, value: number): void {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  memory.write(mfn, offset, bytes);
}

/** A frontend makes its ring empty, each side to be told of the other's first: SHARED_RING_INIT. */
export function initRing(memory: Pages, mfn: number): void {
  memory.write(mfn, 0, new Uint8Array(SLOTS));
  setIndex(memory, mfn, REQ_EVENT, 1);
  setIndex(memory, mfn, RSP_EVENT, 1);
}

/**
 * A frontend has taken the responses before that index, and wants to be told of
 * that one (RING_FINAL_CHECK_FOR_RESPONSES).
 */
export function responsesConsumed(memory: Pages, mfn: number, index: number): void {
  setIndex(memory, mfn, RSP_EVENT, (index + 1) >>> 0);
}

/**
 * A backend has taken the requests before that index, and wants to be told of
 * that one (RING_FINAL_CHECK_FOR_REQUESTS).
 */
export function requestsConsumed(memory: Pages, mfn: number, index: number): void {
  setIndex(memory, mfn, REQ_EVENT, (index + 1) >>> 0);
}

/** Produces everything before an index; whether the other side asked to be told of any of it. */
function push(memory: Pages, mfn: number, producer: number, event: number, index: number): boolean {
  const before = readU32(memory.read(mfn, producer, 4), 0);
  setIndex(memory, mfn, producer, index >>> 0);
  const asked = readU32(memory.read(mfn, event, 4), 0);
  return (index - asked) >>> 0 < (index - before) >>> 0;
}

/** How many requests were ever produced. */
export function requestsProduced(memory: Pages, mfn: number): number {
  return readU32(memory.read(mfn, REQ_PROD, 4), 0);
}

/** How many responses were ever produced. */
export function responsesProduced(memory: Pages, mfn: number): number {
  return readU32(memory.read(mfn, RSP_PROD, 4), 0);
}

function slot({ slotBytes, slots }: RingLayout, index: number): number {
  return SLOTS + (index % slots) * slotBytes;
}

/**
 * Writes the request of that index and produces it; whether the backend is to be
 * told (RING_PUSH_REQUESTS_AND_CHECK_NOTIFY).
 */
export function produceRequest(
  memory: Pages,
  mfn: number,
  layout: RingLayout,
  index: number,
  bytes: Uint8Array,
): boolean {
  memory.write(mfn, slot(layout, index), bytes);
  return push(memory, mfn, REQ_PROD, REQ_EVENT, index + 1);
}

/**
 * Writes the response of that index and produces it; whether the frontend is to
 * be told (RING_PUSH_RESPONSES_AND_CHECK_NOTIFY).
 */
export function produceResponse(
  memory: Pages,
  mfn: number,
  layout: RingLayout,
  index: number,
  bytes: Uint8Array,
): boolean {
  memory.write(mfn, slot(layout, index), bytes);
  return push(memory, mfn, RSP_PROD, RSP_EVENT, index + 1);
}

/** A copy of the slot of that index. */
export function readSlot(memory: Pages, mfn: number, layout: RingLayout, index: number): Uint8Array {
  return memory.read(mfn, slot(layout, index), layout.slotBytes);
}
