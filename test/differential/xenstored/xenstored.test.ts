// SPDX-License-Identifier: Apache-2.0
//
// Our xenstored and Xen's own, side by side: whatever several connections ask
// for, replies, errors and events are the same, in the same order on each.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requires } from "../../capabilities.ts";
import { cases } from "./cases.ts";
import { compare, showDisagreement } from "./compare.ts";
import { differences } from "./differences.ts";
import { realSubject, type Subject } from "./driver.ts";
import { sequences } from "./generate.ts";
import { ourSubject } from "./ours.ts";
import { scriptOf } from "./script.ts";
import type { Sequence } from "./steps.ts";
import { typeName } from "../../../src/core/xenstore/wire.ts";

/** Sequences at random, the same every time; `npm run soak` goes on with others. */
const SEQUENCES = 2000;

async function expectSame(sequence: Sequence, real: Subject, ours: Subject): Promise<void> {
  const disagreement = await compare(sequence, real, ours);
  if (disagreement !== undefined) throw new Error(showDisagreement(disagreement, real.name));
}

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the C xenstored of Xen 4.17", () => {
  const strict = ourSubject("ours, strict", { version: "4.17", conflicts: "strict" });
  let real: Subject;

  beforeAll(async () => {
    real = await realSubject("c");
  });
  afterAll(() => real.stop());

  for (const { name, ...sequence } of cases) test(name, () => expectSame(sequence, real, strict));

  test(`${SEQUENCES} sequences at random`, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, (sequence) => expectSame(sequence, real, strict)),
      { numRuns: SEQUENCES, seed: 1 },
    );
    expect(real.deaths).toBeLessThan(SEQUENCES / 100);
  }, 300_000);
});

describe("what is meant to differ", () => {
  const ours = ourSubject("ours", {});
  for (const { what, ours: own } of differences) {
    if (own === undefined) continue;
    test(what, async () => {
      const messages = (await ours.play(scriptOf({ steps: own.steps }))).flatMap(
        (answers) => answers.messages,
      );
      const last = messages.findLast(({ slot }) => slot === own.steps.at(-1)?.who);
      expect(`${typeName(last?.type ?? -1)} ${last?.body.replaceAll("\0", "|")}`).toBe(own.answer);
    });
  }
});
