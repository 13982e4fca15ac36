// SPDX-License-Identifier: Apache-2.0
//
// Our xenstored and Xen's own, side by side: whatever several connections ask
// for, replies, errors and events are the same, in the same order on each.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requires } from "../../capabilities.ts";
import { cases } from "./cases.ts";
import { compare, compareOcaml, showDisagreement } from "./compare.ts";
import { differences } from "./differences.ts";
import { daemonSubject, NARROW_LIMITS, narrowOcaml, realSubject, type Subject } from "./driver.ts";
import { sequences } from "./generate.ts";
import { grid } from "./grid.ts";
import { ourSubject } from "./ours.ts";
import { scriptOf } from "./script.ts";
import { ask, type Sequence } from "./steps.ts";
import { typeName } from "../../../src/core/xenstore/wire.ts";

/** Sequences at random, the same every time; `npm run soak` goes on with others. */
const SEQUENCES = 2000;

const strict = ourSubject("ours, strict", { version: "4.17", conflicts: "strict" });
const observed = ourSubject("ours", { version: "4.17", conflicts: "observed" });
const asOcaml = ourSubject("ours, as oxenstored", { version: "oxenstored" });
const asNarrowOcaml = ourSubject("ours, with small limits", { version: "oxenstored", limits: NARROW_LIMITS });

async function expectSame(sequence: Sequence, real: Subject): Promise<void> {
  const disagreement = await compare(sequence, real, { strict, observed });
  if (disagreement !== undefined) throw new Error(showDisagreement(disagreement, real.name));
}

async function expectSameOcaml(sequence: Sequence, real: Subject, ours: Subject): Promise<void> {
  const disagreement = await compareOcaml(sequence, real, ours);
  if (disagreement !== undefined) throw new Error(showDisagreement(disagreement, real.name));
}

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the C xenstored of Xen 4.17, and oxenstored", () => {
  let c: Subject;
  let ocaml: Subject;
  let narrow: Subject;

  beforeAll(() => {
    [c, ocaml, narrow] = [realSubject("c"), realSubject("ocaml"), narrowOcaml()];
  });
  afterAll(async () => {
    await Promise.all([c.stop(), ocaml.stop(), narrow.stop()]);
  });

  for (const { name, ...sequence } of cases) {
    test(name, async () => {
      await Promise.all([expectSame(sequence, c), expectSameOcaml(sequence, ocaml, asOcaml)]);
    });
  }

  test("every request in every shape, and domids as nobody writes them", async () => {
    // A case may be one that ends a daemon.
    const before = c.deaths + ocaml.deaths;
    for (const sequence of grid) {
      await Promise.all([expectSame(sequence, c), expectSameOcaml(sequence, ocaml, asOcaml)]);
    }
    expect(c.deaths + ocaml.deaths).toBe(before);
  });

  test(`${SEQUENCES} sequences at random`, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        // What limits do with oxenstored one that has small ones is to tell.
        const inOcaml =
          sequence.limits === undefined
            ? expectSameOcaml(sequence, ocaml, asOcaml)
            : expectSameOcaml(sequence, narrow, asNarrowOcaml);
        await Promise.all([expectSame(sequence, c), inOcaml]);
      }),
      { numRuns: SEQUENCES, seed: 1 },
    );
    expect(c.deaths + ocaml.deaths + narrow.deaths).toBeLessThan(SEQUENCES / 100);
  }, 300_000);

  test("a store that is wrong in one thing is caught", async () => {
    const wrong: Subject = {
      ...strict,
      play: async (script) =>
        (await strict.play(script)).map((answers) => ({
          ...answers,
          messages: answers.messages.map((message) => ({
            ...message,
            body: message.body === "n0\0r1\0" ? "n0\0" : message.body,
          })),
        })),
    };
    const steps = [ask(0, "WRITE", "/o|1"), ask(0, "SET_PERMS", "/o|n0|r1|"), ask(0, "GET_PERMS", "/o|")];
    const found = await compare({ steps }, c, { strict: wrong, observed });
    expect(found).toMatchObject({
      expected: ['socket0: GET_PERMS "n0|r1|"'],
      actual: ['socket0: GET_PERMS "n0|"'],
    });
  });
});

requires("c-compiler")("our daemon and our store", () => {
  const daemon = daemonSubject("--conflicts", "strict");
  afterAll(() => daemon.stop());

  test("socket and rings change nothing of what the store answers: 100 sequences", async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const disagreement = await compare(sequence, daemon, { strict, observed: strict });
        if (disagreement !== undefined) throw new Error(showDisagreement(disagreement, daemon.name));
      }),
      { numRuns: 100, seed: 2 },
    );
    expect(daemon.deaths).toBeLessThan(5);
  }, 300_000);
});

describe("what is meant to differ", () => {
  const ours = { c: observed, ocaml: asOcaml };
  for (const kind of ["c", "ocaml"] as const) {
    for (const { what, ours: own } of differences[kind]) {
      if (own === undefined) continue;
      test(`${kind}: ${what}`, async () => {
        const messages = (await ours[kind].play(scriptOf({ steps: own.steps }))).flatMap(
          (answers) => answers.messages,
        );
        const last = messages.findLast(({ slot }) => slot === own.steps.at(-1)?.who);
        expect(`${typeName(last?.type ?? -1)} ${last?.body.replaceAll("\0", "|")}`).toBe(own.answer);
      });
    }
  }
});
