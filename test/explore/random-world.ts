// SPDX-License-Identifier: Apache-2.0
//
// Small worlds made of chance, for tests of the search: threads that read and
// write a few shared cells, wait, lock, choose, sleep, post, start and kill each other.

import fc from "fast-check";
import { cellType, must } from "../../src/core/engine/cells.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { addMailbox, hasMessage, post, takeMessage } from "../../src/core/engine/mailbox.ts";
import { routine } from "../../src/core/engine/routine.ts";
import type { Routine } from "../../src/core/engine/routine.ts";
import { killThread, spawnThread, threadCell } from "../../src/core/engine/thread.ts";
import { World } from "../../src/core/engine/world.ts";
import type { Bounds } from "../../src/explore/bounds.ts";
import { verdictOf } from "./both.ts";

/** What a thread of chance does next. `x` and `n` are small numbers. */
interface Op {
  readonly kind: (typeof KINDS)[number];
  readonly x: number;
  readonly n: number;
}

const KINDS = [
  "read",
  "write",
  "add",
  "wait",
  "wait either",
  "lock",
  "toggle",
  "count",
  "post",
  "take",
  "ask server",
  "choose",
  "sleep",
  "kill",
  "spawn",
  "skip",
] as const;

const valueCell = cellType<{ value: number }>("random-value");
const toggleCell = cellType<{ there: true }>("random-toggle");

/** What a cell of values holds. */
function valueIn(host: Pick<Host, "get">, x: number): number {
  return host.get(valueCell, x)?.value ?? 0;
}

function act(host: Host, l: { name: string; r: number; skip: boolean; op: Op }): void {
  const { kind, x, n } = l.op;
  switch (kind) {
    case "read":
      l.r = must(host, valueCell, x).value;
      break;
    case "write":
      host.edit(valueCell, x).value = (l.r + n) % 4;
      break;
    case "add":
      host.edit(valueCell, x).value = (must(host, valueCell, x).value + n) % 4;
      break;
    case "toggle":
      l.r = host.count(toggleCell);
      if (host.get(toggleCell, x) === undefined) host.add(toggleCell, x, { there: true });
      else host.drop(toggleCell, x);
      break;
    case "count":
      l.r = host.count(toggleCell);
      break;
    case "post":
      post(host, `box/${x}`, n);
      break;
    case "take":
      l.r = (takeMessage(host, `box/${x}`) ?? 0) as number;
      break;
    case "ask server":
      post(host, "requests", { x, n });
      break;
    case "kill":
      if (`t${x}` !== l.name) killThread(host, `t${x}`);
      break;
    case "spawn":
      if (host.get(threadCell, `${l.name}+${x}`) === undefined)
        spawnThread(host, `${l.name}+${x}`, child, { x, n });
      break;
    case "skip":
      l.skip = l.r % 2 === n % 2;
      break;
    default:
  }
}

const child = routine(
  "test_random_child",
  (a: { x: number; n: number }) => ({ ...a }),
  ({ step, waitFor }) => [
    waitFor("wait", (host, l) => valueIn(host, l.x) !== l.n),
    step("write", (host, l) => void (host.edit(valueCell, l.n % 3).value = l.x)),
  ],
);

const server = routine(
  "test_random_server",
  () => ({}),
  ({ step, waitFor, forever }) => [
    forever("serve", [
      waitFor("requests", (host) => hasMessage(host, "requests")),
      step("serve one", (host) => {
        const { x, n } = takeMessage(host, "requests") as { x: number; n: number };
        host.edit(valueCell, x).value = n;
      }),
    ]),
  ],
);

const doing: Routine<{ name: string; ops: readonly Op[] }, void> = routine(
  "test_random",
  (a: { name: string; ops: readonly Op[] }) => ({
    ...a,
    op: { kind: "skip", x: 0, n: 0 } as Op,
    r: 0,
    skip: false,
  }),
  ({ step, each, when, waitFor, choose, sleep, locked }) => {
    const is = (kind: Op["kind"]) => (l: { op: Op; skip: boolean }) => !l.skip && l.op.kind === kind;
    return [
      each(
        "ops",
        (l) => l.ops as unknown as readonly { kind: string; x: number; n: number }[],
        (l, op) => {
          if (l.skip) {
            l.skip = false;
            l.op = { kind: "skip", x: 0, n: 1 };
            l.r = 0;
          } else l.op = op as Op;
        },
        [
          when("wait?", is("wait"), [
            waitFor("wait", (host, l) => valueIn(host, l.op.x) === l.op.n),
            step("waited", (host, l) => void (l.r = valueIn(host, (l.op.x + 1) % 3))),
          ]),
          when("wait either?", is("wait either"), [
            waitFor(
              "wait either",
              (host, l) => valueIn(host, l.op.x) === l.op.n || hasMessage(host, `box/${l.op.x}`),
            ),
            step("one of them", (host, l) => void (l.r = valueIn(host, l.op.x))),
          ]),
          when("lock?", is("lock"), [
            locked("lock", (l) => `lock ${l.op.x}`, [
              step("under lock", (host, l) => void (host.edit(valueCell, l.op.x).value = l.op.n)),
              step("still under lock", (host, l) => void (l.r = valueIn(host, l.op.n % 3))),
            ]),
          ]),
          when("choose?", is("choose"), [
            choose(
              "choice",
              () => 2,
              (_host, l, choice) => void (l.r = choice),
            ),
          ]),
          when("sleep?", is("sleep"), [sleep("sleep", (l) => 10 * (l.op.n + 1))]),
          step("act", act),
        ],
      ),
    ];
  },
);

const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom(...KINDS),
  x: fc.nat({ max: 2 }),
  n: fc.nat({ max: 2 }),
});

/** Programs for two or three threads. */
export const programs: fc.Arbitrary<Op[][]> = fc.array(fc.array(op, { minLength: 1, maxLength: 4 }), {
  minLength: 2,
  maxLength: 3,
});

/** A world in which each thread is about to begin its program. */
function worldOf(threads: readonly (readonly Op[])[], serverName: string): World {
  const world = new World({ tracking: { undo: true, hash: true } });
  world.boot((host) => {
    for (let x = 0; x < 3; x++) {
      host.add(valueCell, x, { value: 0 });
      addMailbox(host, `box/${x}`);
    }
    addMailbox(host, "requests");
    spawnThread(host, serverName, server, {});
    for (const [at, ops] of threads.entries()) spawnThread(host, `t${at}`, doing, { name: `t${at}`, ops });
  });
  return world;
}

/** A state that properties ask about: what two neighbouring cells hold. */
export const asked = fc.record({ x: fc.nat({ max: 2 }), a: fc.nat({ max: 3 }), b: fc.nat({ max: 3 }) });

/** Worlds with more states are not searched whole. */
const STATES_MAX = 5_000;

/**
 * The verdicts of the two searches of one world: does such a state come, and
 * what if it may not. A thread named as a server goes first in both.
 */
export function sameVerdicts(
  threads: readonly (readonly Op[])[],
  { x, a, b }: { x: number; a: number; b: number },
  server: string,
  timers: "lazy" | "eager",
): { full: ReturnType<typeof verdictOf>; less: ReturnType<typeof verdictOf> } {
  const so = (host: Pick<Host, "get">): boolean => valueIn(host, x) === a && valueIn(host, (x + 1) % 3) === b;
  const bounds: Bounds = { timers, statesMax: STATES_MAX };
  const reduction = server === "xenstored" ? "servers first" : "off";
  const judge = (how: Bounds["reduction"] & string) => {
    const some = verdictOf(worldOf(threads, server), { sometimes: { so } }, { ...bounds, reduction: how });
    const never = { always: { "never so": (host: Host) => (so(host) ? "so" : null) } };
    const { verdict } = verdictOf(worldOf(threads, server), never, { ...bounds, reduction: how });
    return { ...some, verdict: { ...some.verdict, violated: verdict.violated } };
  };
  const full = judge(reduction);
  return { full, less: full.result.exhaustive ? judge("orders") : full };
}
