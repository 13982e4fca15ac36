// SPDX-License-Identifier: Apache-2.0
//
// Plays cases to a xenstored, one after the other, each with connections and a
// node of its own.

import { XS } from "../../core/xenstore/wire.ts";
import { systemWords } from "../problem.ts";
import { type Case, needsDomains } from "./case.ts";
import { SocketConnection } from "./connections.ts";
import { type Answered, type Target, Tester } from "./tester.ts";

/** How a case went. */
export interface Result {
  readonly name: string;
  readonly about: string;
  readonly advisory: string | undefined;
  readonly outcome: "passed" | "failed" | "skipped";
  /** What was asked and answered, up to the first wrong answer. */
  readonly answered: readonly Answered[];
}

/** How long a xenstored may take to be known as one. */
const REACH_MS = 10_000;

let plays = 0;

/** Plays one case. It fails also where nobody answers any more: a request may have ended the xenstored. */
export async function playCase(test: Case, target: Target): Promise<Result> {
  const { name, about, advisory } = test;
  const { only } = test;
  if ((needsDomains(test) && target.domains === undefined) || only?.includes(target.profile) === false)
    return { name, about, advisory, outcome: "skipped", answered: [] };
  const tester = new Tester(target, `/conformance-${process.pid}-${plays++}`);
  try {
    const passed = await played(tester, test);
    return { name, about, advisory, outcome: passed ? "passed" : "failed", answered: tester.answered };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    const gone = { line: "a new connection", answer: systemWords(error), wrong: "a xenstored that is there" };
    return { name, about, advisory, outcome: "failed", answered: [...tester.answered, gone] };
  }
}

async function played(tester: Tester, test: Case): Promise<boolean> {
  try {
    return await tester.play(test);
  } finally {
    await tester.close();
  }
}

/**
 * Whether a xenstored answers at a target's socket: a read of the root, whatever the answer. Rejects with
 * the system's error where nobody is there.
 */
export async function reach({ socketPath }: Target): Promise<boolean> {
  const connection = await SocketConnection.open(socketPath);
  const reqId = connection.request(XS.READ, 0, "/\0");
  const answer = await connection.next(REACH_MS);
  connection.close();
  return answer?.reqId === reqId && (answer.type === XS.READ || answer.type === XS.ERROR);
}

/** Plays cases; `done` is told of each. */
export async function playCases(
  cases: readonly Case[],
  target: Target,
  done: (result: Result) => void,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const test of cases) {
    const result = await playCase(test, target);
    results.push(result);
    done(result);
  }
  return results;
}
