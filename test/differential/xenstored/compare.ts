// SPDX-License-Identifier: Apache-2.0
//
// Two xenstoreds side by side: the first command after which they differ.

import { typeName, XS } from "../../../src/core/xenstore/wire.ts";
import { type Answers, isDead, type Received, type Subject } from "./driver.ts";
import { comparable, type Difference, differences, type Seen } from "./differences.ts";
import { type ScriptLine, scriptOf } from "./script.ts";
import { ADMIN, type Sequence, showBody, whoName } from "./steps.ts";

/** Where they part, and all steps until then in words. */
export interface Disagreement extends Seen {
  readonly steps: readonly string[];
}

/** What one command brought, as lines: connections apart, each in its own order. */
function showAnswers(answers: Answers): string[] {
  const bySlot = new Map<number, string[]>();
  const add = (slot: number, text: string): void => {
    const list = bySlot.get(slot) ?? [];
    bySlot.set(slot, list);
    list.push(`${whoName(slot)}: ${text}`);
  };
  for (const message of answers.messages) add(message.slot, showMessage(message));
  for (const slot of answers.closed) add(slot, "closed");
  for (const slot of answers.late) add(slot, "no answer in time");
  return [...bySlot].toSorted(([a], [b]) => a - b).flatMap(([, lines]) => lines);
}

function showMessage({ type, body, wrong }: Received): string {
  return `${typeName(type)} ${showBody(shown(type, body))}${wrong ? " with wrong identifiers" : ""}`;
}

/** A generation count is compared for being one, not for its value: it counts all changes ever made. */
function shown(type: number, body: string): string {
  return type === XS.DIRECTORY_PART ? body.replace(/^\d+/, "GENERATION") : body;
}

/** What each step brought. An event may come with the request's reply or just after it. */
function byStep(script: readonly ScriptLine[], answers: readonly Answers[]): string[][] {
  const steps: Answers[] = [];
  for (const [at, { step }] of script.entries()) {
    const before = steps[step] ?? { messages: [], closed: [], late: [] };
    const now = answers[at] ?? { messages: [], closed: [], late: [ADMIN] };
    steps[step] = {
      messages: [...before.messages, ...now.messages],
      closed: [...before.closed, ...now.closed],
      late: [...before.late, ...now.late],
    };
  }
  return steps.map(showAnswers);
}

/** The first step after which they differ without a reason that is written down, or undefined. */
export function firstDisagreement(
  script: readonly ScriptLine[],
  expected: readonly Answers[],
  actual: readonly Answers[],
  known: readonly Difference[],
): Disagreement | undefined {
  const [theirs, ours] = [byStep(script, expected), byStep(script, actual)];
  const at = theirs.findIndex((lines, step) => lines.join("\n") !== (ours[step] ?? []).join("\n"));
  if (at < 0) return undefined;
  const texts = new Map(script.filter(({ step }) => step <= at).map(({ step, text }) => [step, text]));
  const seen: Seen = { step: texts.get(at) ?? "", expected: theirs[at] ?? [], actual: ours[at] ?? [] };
  if (known.some(({ explains }) => explains?.(seen) === true)) return undefined;
  return { ...seen, steps: [...texts.values()].filter((text, i, all) => text !== all[i - 1]) };
}

/**
 * Plays a sequence to the C xenstored, and to ours with either rule for conflicts.
 * With the strict one all must be the same. With the other all is until a
 * transaction sees or does what C's, which will be refused, does not.
 *
 * @returns where they part, or undefined; also where the real one died of it or was too late
 */
export async function compare(
  sequence: Sequence,
  real: Subject,
  { strict, observed }: { readonly strict: Subject; readonly observed: Subject },
): Promise<Disagreement | undefined> {
  const script = scriptOf({ ...sequence, steps: comparable(sequence.steps, "c") });
  const expected = await real.play(script);
  if (isDead(expected)) return undefined;
  const found = firstDisagreement(script, expected, await strict.play(script), differences.c);
  if (found !== undefined) return found;
  const other = firstDisagreement(script, expected, await observed.play(script), differences.c);
  return other === undefined || isFreer(other) ? undefined : other;
}

/** Plays a sequence to oxenstored, and to ours that is to be as it: everything must be the same. */
export async function compareOcaml(
  sequence: Sequence,
  real: Subject,
  ours: Subject,
): Promise<Disagreement | undefined> {
  const script = scriptOf({ ...sequence, steps: comparable(sequence.steps, "ocaml") });
  const expected = await real.play(script);
  if (isDead(expected)) return undefined;
  return firstDisagreement(script, expected, await ours.play(script), differences.ocaml);
}

/** Whether they part in a transaction, and not because we refuse one that C commits. */
function isFreer({ step, expected, actual }: Disagreement): boolean {
  if (!/ in t\d$/.test(step)) return false;
  return (
    !/ TRANSACTION_END /.test(step) || (/"EAGAIN/.test(expected.join()) && !/"EAGAIN/.test(actual.join()))
  );
}

/** A disagreement as text. */
export function showDisagreement({ steps, expected, actual }: Disagreement, real: string): string {
  return [
    ...steps,
    `${real}:`,
    ...expected.map((line) => `  ${line}`),
    "ours:",
    ...actual.map((line) => `  ${line}`),
  ].join("\n");
}
