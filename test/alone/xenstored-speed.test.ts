// SPDX-License-Identifier: Apache-2.0
//
// Ten workloads against the C xenstored: each at least 0.8 times as much faster
// as docs/results/xenstored.md asks for. What is compared is processor time, in
// rounds that take turns; a machine that is busy makes this slower, not wrong.
// What is too slow in one attempt only was disturbed, so there are three.

import { expect, test } from "vitest";
import { cases } from "../../bench/xenstored/cases.ts";
import { measure } from "../../bench/xenstored/measure.ts";
import { requires } from "../capabilities.ts";

const ATTEMPTS = 3;
const SHARE_OF_MUST = 0.8;

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("beside the C xenstored of Xen 4.17", () => {
  const gates = cases.filter(({ gate }) => gate === true);

  test("ten workloads are looked at", () => {
    expect(gates).toHaveLength(10);
  });

  test.each(gates)(
    "$name",
    async (of) => {
      const least = SHARE_OF_MUST * (of.must as number);
      const ratios: number[] = [];
      while (ratios.length < ATTEMPTS && Math.max(...ratios, 0) < least) {
        const effort = { rounds: 3, seconds: 0.12, warmup: ratios.length + 1 };
        const [result] = await measure([of], ["c", "ours"], effort, () => undefined);
        expect([...(result?.broken ?? [])]).toEqual([]);
        expect(result?.findings.get("ours")?.firstError).toBe("");
        ratios.push(result?.ratios.get("ours") ?? 0);
      }
      expect(Math.max(...ratios)).toBeGreaterThanOrEqual(least);
    },
    240_000,
  );
});
