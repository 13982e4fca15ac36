// SPDX-License-Identifier: Apache-2.0
//
// The engine's promises, held against random programs: the incremental hash is
// the full one after every step, undo gives every state back, and a copy made
// in the middle of a run goes on as the original does.

import { strict as assert } from "node:assert";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { cellType, type CellId } from "../../src/core/engine/cells.ts";
import { addMailbox, hasMessage, post, takeMessage } from "../../src/core/engine/mailbox.ts";
import { nextBelow, seedPrng, type Prng } from "../../src/core/engine/prng.ts";
import type { StepUndo } from "../../src/core/engine/world.ts";
import { routine } from "../../src/core/engine/routine.ts";
import { canonicalHost, checkHash, cloneWorld, saveWorld } from "../../src/core/engine/save.ts";
import { random, run } from "../../src/core/engine/scheduler.ts";
import { spawnThread } from "../../src/core/engine/thread.ts";
import { World } from "../../src/core/engine/world.ts";

const programsPerRound = 4_000;
const stepsMax = 2_000;
const slots = 3;

const slotCell = cellType<{ value: number; last: string }>("soak-slot", { provenance: ["last"] });
/** Present while somebody is inside the lock. */
const insideCell = cellType<{ who: string }>("soak-inside");

function add(host: Pick<World, "edit">, slot: CellId, who: string): void {
  const content = host.edit(slotCell, slot);
  content.value += 1;
  content.last = who;
}

type Word = "add" | "lock" | "post" | "take" | "sleep" | "choose" | "fail" | "call" | "toggle";
const words: readonly Word[] = ["add", "lock", "post", "take", "sleep", "choose", "fail", "call", "toggle"];

/** Performs a list of words, each of which uses a part of the routine vocabulary. */
const program = routine(
  "soak_program",
  (a: { who: string; slot: number; script: Word[] }) => ({ ...a, word: "add" as Word, pick: 1, errno: "" }),
  ({ step, when, each, locked, waitFor, sleep, choose, attempt, always, failWith, callNamed }) => [
    each(
      "words",
      (l) => l.script,
      (l, word) => void (l.word = word),
      [
        step("add", (host, l) => add(host, l.slot, l.who)),
        when("lock?", (l) => l.word === "lock", [
          locked("slots", () => "slots", [
            step("enter", (host, l) => void host.add(insideCell, 0, { who: l.who })),
            step("leave", (host) => host.drop(insideCell, 0)),
          ]),
        ]),
        when("post?", (l) => l.word === "post", [step("post", (host, l) => post(host, "box", l.pick))]),
        when("take?", (l) => l.word === "take", [
          waitFor("message", (host) => hasMessage(host, "box"), {
            timeout: (l) => (l.pick === 0 ? 50 : 500),
            timedOut: (l) => void (l.errno = "ETIMEDOUT"),
          }),
          step("take", (host) => void takeMessage(host, "box")),
        ]),
        when("sleep?", (l) => l.word === "sleep", [sleep("sleep", (l) => 10 * (l.pick + 1))]),
        when("choose?", (l) => l.word === "choose", [
          choose(
            "choose",
            () => 3,
            (_host, l, choice) => void (l.pick = choice),
          ),
        ]),
        when("fail?", (l) => l.word === "fail", [
          attempt([
            always(
              [failWith("fail", "EBUSY")],
              [step("clean up", (host, l) => add(host, l.slot, "clean-up"))],
            ),
          ]).onError((l, errno) => void (l.errno = errno), []),
        ]),
        when("call?", (l) => l.word === "call", [
          callNamed(
            "call",
            () => "soak_program",
            (l) => ({
              who: l.who,
              slot: (l.slot + 1) % slots,
              // Shorter at each depth, so that it ends.
              script: l.script.slice(0, Math.floor(l.script.length / 2)),
            }),
          ),
        ]),
        when("toggle?", (l) => l.word === "toggle", [
          step("toggle", (host, l) => {
            if (host.get(slotCell, l.who) === undefined) host.add(slotCell, l.who, { value: 0, last: "" });
            else host.drop(slotCell, l.who);
          }),
        ]),
      ],
    ),
  ],
);

function randomWorld(prng: Prng): World {
  const world = new World({ tracking: { undo: true, hash: true }, seed: nextBelow(prng, 1 << 30) });
  world.boot((host) => {
    addMailbox(host, "box");
    for (let slot = 0; slot < slots; slot++) host.add(slotCell, slot, { value: 0, last: "" });
    const threads = 1 + nextBelow(prng, 5);
    for (let thread = 0; thread < threads; thread++) {
      const who = `t${thread}`;
      const length = 1 + nextBelow(prng, 12);
      const script = Array.from({ length }, () => words[nextBelow(prng, words.length)]!);
      spawnThread(host, who, program, { who, slot: nextBelow(prng, slots), script });
    }
  });
  return world;
}

/** Runs a world to its end, checking its hash at every step; then back to its start. */
function thereAndBack(world: World, copyAt: number): { steps: number; end: string; copy: World | null } {
  const trail: { undo: StepUndo; hash: string }[] = [];
  const hash = () => JSON.stringify(world.hashAt(world.now));
  const start = canonicalHost(world);
  let copy: World | null = null;
  while (trail.length < stepsMax) {
    if (trail.length === copyAt) copy = cloneWorld(world);
    const action = random(world);
    if (action === null) break;
    const before = hash();
    const undo = world.perform(action);
    assert.equal(checkHash(world), null);
    assert.ok(undo !== null);
    trail.push({ undo, hash: before });
  }
  const end = saveWorld(world);
  for (const { undo, hash: before } of trail.toReversed()) {
    world.unperform(undo);
    assert.equal(hash(), before);
  }
  assert.equal(canonicalHost(world), start);
  return { steps: trail.length, end, copy };
}

/** Some thousand random programs. */
export const round: SoakRound = (seed) => {
  const prng = seedPrng(seed);
  let steps = 0;
  for (let turn = 0; turn < programsPerRound; turn++) {
    const world = randomWorld(prng);
    const done = thereAndBack(world, nextBelow(prng, 60));
    steps += done.steps;
    if (done.copy === null || done.steps === stepsMax) continue;
    run(done.copy, random, { stepsMax });
    assert.equal(saveWorld(done.copy), done.end);
  }
  return { programs: programsPerRound, steps };
};
