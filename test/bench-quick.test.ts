// SPDX-License-Identifier: Apache-2.0
//
// The short form of every benchmark. What rests on counts has to hold on any
// machine; times are for docs/results, measured on a quiet one.

import { describe, expect, test } from "vitest";
import { benches } from "../bench/all.ts";

describe.each(benches.filter(({ needs }) => needs === undefined))("bench $name", ({ run }) => {
  test("bears out the claims that rest on counts", async () => {
    const { tables, claims } = await run({ quick: true, progress: () => {} });
    const counted = claims.filter(({ timed }) => !timed);
    expect(counted.length).toBeGreaterThan(0);
    expect(counted.filter(({ holds }) => !holds)).toEqual([]);
    for (const { columns, rows } of tables) {
      expect(rows.length).toBeGreaterThan(0);
      expect(rows.every((row) => row.length === columns.length)).toBe(true);
    }
  });
});
