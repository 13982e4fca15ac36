// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bytes,
  bytesOf,
  getBig,
  i16,
  i32,
  i64,
  setBig,
  u16,
  u32,
  u64,
  u8,
  viewOf,
  zeroed,
} from "./struct.ts";
import type { NumberField } from "./struct.ts";

const kinds: readonly [string, (offset: number) => NumberField, number, number][] = [
  ["u8", u8, 0, 0xff],
  ["u16", u16, 0, 0xffff],
  ["u32", u32, 0, 0xffffffff],
  ["i16", i16, -0x8000, 0x7fff],
  ["i32", i32, -0x80000000, 0x7fffffff],
  ["u64", u64, 0, Number.MAX_SAFE_INTEGER],
  ["i64", i64, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
];

test.each(kinds)("%s gives back what was set and touches nothing else", (_name, field, min, max) => {
  fc.assert(
    fc.property(fc.integer({ min, max }), fc.nat(8), fc.nat(8), (value, offset, at) => {
      const view = viewOf(new Uint8Array(32).fill(0xa5));
      const f = field(offset);
      f.set(view, value, at);
      expect(f.get(view, at)).toBe(value);
      const touched = [...bytesOf(view).keys()].filter((i) => i >= at + offset && i < at + offset + f.size);
      for (const [i, byte] of bytesOf(view).entries()) if (!touched.includes(i)) expect(byte).toBe(0xa5);
    }),
  );
});

test("a 64-bit field keeps all its bits through getBig and setBig", () => {
  const view = zeroed({ sizeof: 16 });
  const field = u64(8);
  setBig(view, field, 0xfedcba9876543210n);
  expect(getBig(view, field)).toBe(0xfedcba9876543210n);
  expect([...bytesOf(view)].slice(8)).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
  setBig(view, field, -1n);
  expect(field.get(view)).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
});

test("bytes are copied out, cut and zero-filled in", () => {
  const view = viewOf(new Uint8Array(8).fill(9));
  const field = bytes(2, 4);
  const before = field.get(view);
  field.set(view, Uint8Array.of(1, 2));
  expect([...before]).toEqual([9, 9, 9, 9]);
  expect([...bytesOf(view)]).toEqual([9, 9, 1, 2, 0, 0, 9, 9]);
  field.set(view, Uint8Array.of(1, 2, 3, 4, 5, 6));
  expect([...bytesOf(view)]).toEqual([9, 9, 1, 2, 3, 4, 9, 9]);
});
