// SPDX-License-Identifier: Apache-2.0
//
// What a xenstored answered to the suite, kept: for those that no package has.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../../src/live/conformance/case.ts";
import { CASES } from "../../src/live/conformance/cases/index.ts";
import type { Result } from "../../src/live/conformance/run.ts";

/** A case as it was played. */
interface Played {
  readonly name: string;
  /** What was asked: a case that has changed since has no transcript. */
  readonly asked: string;
  readonly outcome: Result["outcome"];
  /** Payloads as lines of a case show them. */
  readonly answers: readonly string[];
}

function file(name: string): string {
  return join(import.meta.dirname, "transcripts", `${name}.json`);
}

function fingerprint({ lines }: Case): string {
  const asked = lines.map((line) => line.replace(/ => .*$/s, "")).join("\n");
  return createHash("sha256").update(asked).digest("hex").slice(0, 16);
}

/** Keeps what was answered. */
export function writeTranscript(name: string, results: readonly Result[]): void {
  const played = results.map(({ name: caseName, outcome, answered }, at): Played => {
    const asked = fingerprint(CASES[at] as Case);
    return { name: caseName, asked, outcome, answers: answered.map(({ answer }) => answer) };
  });
  writeFileSync(file(name), `[\n${played.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
}

/** What was answered to each case as it is now; skipped where it was asked otherwise, or not at all. */
export function readTranscript(name: string): readonly Result[] {
  const played = new Map(
    (JSON.parse(readFileSync(file(name), "utf8")) as readonly Played[]).map((one) => [one.name, one]),
  );
  return CASES.map((one): Result => {
    const found = played.get(one.name);
    const { about, advisory } = one;
    if (found === undefined || found.asked !== fingerprint(one))
      return { name: one.name, about, advisory, outcome: "skipped", answered: [] };
    const answered = found.answers.map((answer, at) => ({ line: one.lines[at] as string, answer }));
    return { name: one.name, about, advisory, outcome: found.outcome, answered };
  });
}

/** An answer without what is another's in every run: a node's generation, which ours has no count of. */
export function comparable(answer: string): string {
  return answer.replace(/^\d+\|(?=.*\|)/s, "GENERATION|");
}
