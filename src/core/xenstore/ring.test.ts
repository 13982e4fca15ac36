// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fail, isFailure } from "../engine/errno.ts";
import {
  clientHasResponses,
  clientRead,
  clientRoom,
  clientWrite,
  connectionState,
  requestReconnect,
  resetRing,
  RING_SIZE,
  ringError,
  type RingPage,
  serverFeatures,
  serverHasRequests,
  serverRead,
  serverRoom,
  serverWrite,
  setRingError,
  setServerFeatures,
} from "./ring.ts";
import { writeU32 } from "./wire.ts";

/** A page whose indices are both at `start`. */
function page(start = 0): RingPage & { bytes: Uint8Array } {
  const bytes = new Uint8Array(4096);
  for (const offset of [2048, 2052, 2056, 2060]) writeU32(bytes, offset, start);
  return {
    bytes,
    read: (offset, length) => bytes.slice(offset, offset + length),
    write: (offset, data) => bytes.set(data, offset),
  };
}

test("bytes come out as they went in, in pieces, around the end of the ring and of the indices", () => {
  const piece = fc.uint8Array({ minLength: 1, maxLength: 1500 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.constantFrom(0, 1000, 0xfffffff0), (pieces, start) => {
      const ring = page(start);
      const [sent, received]: number[][] = [[], []];
      const take = (): void => {
        const bytes = serverRead(ring, 700);
        if (!isFailure(bytes)) received?.push(...bytes);
      };
      for (const bytes of pieces) {
        for (let at = 0; at < bytes.length;) {
          const count = clientWrite(ring, bytes.subarray(at)) as number;
          if (count === 0) take();
          at += count;
        }
        sent?.push(...bytes);
      }
      while (serverHasRequests(ring)) take();
      expect(received).toEqual(sent);
      expect(clientRoom(ring)).toBe(RING_SIZE);
    }),
  );
});

test("a full ring takes nothing and loses nothing", () => {
  const ring = page(0xffffff00);
  const bytes = Uint8Array.from({ length: RING_SIZE }, (_, i) => i);
  expect(serverWrite(ring, bytes)).toBe(RING_SIZE);
  expect([serverRoom(ring), serverWrite(ring, bytes)]).toEqual([0, 0]);
  expect(clientHasResponses(ring)).toBe(true);
  expect(clientRead(ring)).toEqual(bytes);
  expect([clientHasResponses(ring), clientRead(ring)]).toEqual([false, new Uint8Array(0)]);
});

describe("indices that cannot be", () => {
  test.each([RING_SIZE + 1, 0x7fffffff, 0xffffffff])("%d bytes apart", (distance) => {
    const ring = page();
    writeU32(ring.bytes, 2052, distance);
    writeU32(ring.bytes, 2060, distance);
    const before = ring.bytes.slice();
    expect(serverHasRequests(ring)).toBe(true);
    expect(serverRead(ring)).toBe(fail("EIO"));
    expect(serverWrite(ring, new Uint8Array(1))).toBe(fail("EIO"));
    expect([serverRoom(ring), clientRead(ring)]).toEqual([fail("EIO"), fail("EIO")]);
    expect(ring.bytes).toEqual(before);
  });
});

test("the fields beside the rings", () => {
  const ring = page();
  setServerFeatures(ring, 2);
  setRingError(ring, 3);
  expect([serverFeatures(ring), ringError(ring), connectionState(ring)]).toEqual([2, 3, 0]);
  clientWrite(ring, new Uint8Array(5));
  expect(resetRing(ring)).toBe(false);
  requestReconnect(ring);
  expect(connectionState(ring)).toBe(1);
  expect([resetRing(ring), connectionState(ring), serverHasRequests(ring)]).toEqual([true, 0, false]);
});
