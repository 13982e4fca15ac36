// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { cellType, must } from "./cells.ts";
import { fail } from "./errno.ts";
import { input } from "./input.ts";
import { addMailbox, hasMessage, post, takeMessage } from "./mailbox.ts";
import { routine } from "./routine.ts";
import { canonicalHost, checkHash, cloneWorld, saveWorld } from "./save.ts";
import { fifo, random, replay, run } from "./scheduler.ts";
import { hasEnded, joinThread, killThread, spawnThread, stackOf, threadCell } from "./thread.ts";
import { World } from "./world.ts";
import type { Action, StepUndo } from "./world.ts";

const noteCell = cellType<{ lines: string[] }>("test-note");
const TRACKED = { undo: true, hash: true };

function note(host: { edit: World["edit"] }, line: string): void {
  host.edit(noteCell, "log").lines.push(line);
}

const leaf = routine(
  "test_leaf",
  (a: { errno: boolean }) => ({ ...a }),
  ({ step }) => [
    step("fail or not", (host, l) => {
      note(host, "leaf");
      return l.errno ? fail("ENOMEM") : undefined;
    }),
  ],
  () => 42,
);

const everything = routine(
  "test_everything",
  (a: { bad: boolean }) => ({ ...a, items: [1, 2, 3], item: 0, got: 0, errno: "", turns: 0, late: false }),
  ({ step, call, when, each, repeatUntil, waitFor, sleep, attempt, always, locked }) => [
    each(
      "items",
      (l) => l.items,
      (l, item) => {
        l.item = item;
      },
      [step("item", (host, l) => note(host, `item ${l.item}`))],
    ),
    repeatUntil("twice", (l) => l.turns === 2, [
      step("turn", (host, l) => {
        l.turns++;
        note(host, "turn");
      }),
    ]),
    attempt([
      always(
        [
          call(
            "leaf",
            leaf,
            (l) => ({ errno: l.bad }),
            (l, result) => {
              l.got = result;
            },
          ),
        ],
        [step("clean up", (host) => note(host, "clean-up"))],
      ),
    ]).onError(
      (l, errno) => {
        l.errno = errno;
      },
      [step("caught", (host, l) => note(host, `caught ${l.errno}`))],
    ),
    when(
      "good",
      (l) => l.got === 42,
      [step("then", (host) => note(host, "then"))],
      [step("else", (host) => note(host, "else"))],
    ),
    locked("mutex", () => "big", [step("inside", (host) => note(host, "inside"))]),
    waitFor("mail", (host) => hasMessage(host, "in"), {
      timeout: () => 5_000,
      timedOut: (l) => {
        l.late = true;
      },
    }),
    step("mail came", (host, l) => {
      note(host, l.late ? "late" : (takeMessage(host, "in") as string));
    }),
    sleep("rest", () => 1_000),
    step("end", (host) => note(host, "end")),
  ],
  (l) => ({ got: l.got }),
);

const caller = routine(
  "test_caller",
  (a: { depth: number }) => ({ ...a }),
  ({ step, when, callNamed }) => [
    when("deep", (l) => l.depth > 0, [
      callNamed(
        "deeper",
        () => "test_caller",
        (l) => ({ depth: l.depth - 1 }),
      ),
    ]),
    step("turn", (host, l) => note(host, `${l.depth}`)),
  ],
);

const misnamed = routine(
  "test_misnamed",
  () => ({ wokenBy: 0 }),
  ({ step }) => [step("never", () => {})],
);

function world(seed = 0): World {
  const made = new World({ tracking: TRACKED, seed });
  made.boot((host) => {
    host.add(noteCell, "log", { lines: [] });
    addMailbox(host, "in");
  });
  return made;
}

const lines = (of: World): readonly string[] => must(of, noteCell, "log").lines;

describe("routines", () => {
  test.each([
    [
      false,
      ["item 1", "item 2", "item 3", "turn", "turn", "leaf", "clean-up", "then", "inside", "late", "end"],
    ],
    [
      true,
      [
        "item 1",
        "item 2",
        "item 3",
        "turn",
        "turn",
        "leaf",
        "clean-up",
        "caught ENOMEM",
        "else",
        "inside",
        "late",
        "end",
      ],
    ],
  ])("every word of the vocabulary, failing: %s", (bad, expected) => {
    const w = world();
    w.boot((host) => void spawnThread(host, "t", everything, { bad }, { joinable: true }));
    run(w, fifo);
    expect(lines(w)).toEqual(expected);
    expect(w.now).toBe(6_000);
    expect(hasEnded(w, "t")).toBe(true);
    w.boot((host) => expect(joinThread(host, "t")).toEqual({ errno: null, result: { got: bad ? 0 : 42 } }));
  });

  test("a message wakes the waiting thread before its time-out", () => {
    const w = world();
    w.boot((host) => void spawnThread(host, "t", everything, { bad: false }));
    run(w, fifo, { until: ({ runnable }) => runnable.length === 0 });
    expect(stackOf(w, "t")).toEqual([{ routine: "test_everything", at: "mail" }]);
    w.boot((host) => post(host, "in", "hello"));
    run(w, fifo);
    expect(lines(w)).toContain("hello");
    expect(lines(w)).not.toContain("late");
  });

  test("a call's frames are there while it lasts, and go with a thread that is killed", () => {
    const w = world();
    w.boot((host) => void spawnThread(host, "t", caller, { depth: 3 }));
    expect(stackOf(w, "t").map(({ at }) => at)).toEqual(["turn", "deeper", "deeper", "deeper"]);
    w.boot((host) => killThread(host, "t"));
    expect(stackOf(w, "t")).toEqual([]);
    expect(canonicalHost(w)).not.toContain("test_caller");
    w.boot((host) => void spawnThread(host, "t", caller, { depth: 3 }));
    run(w, fifo);
    expect(lines(w)).toEqual(["0", "1", "2", "3"]);
    expect(canonicalHost(w)).not.toContain("test_caller");
  });

  test("a local named like a field outside the state's identity is refused", () => {
    const w = world();
    expect(() => w.boot((host) => void spawnThread(host, "t", misnamed, {}))).toThrow(
      "a local named wokenBy",
    );
  });

  test("a failure nobody catches ends the thread with it", () => {
    const w = world();
    w.boot((host) => void spawnThread(host, "t", leaf, { errno: true }, { joinable: true }));
    run(w, fifo);
    expect(w.get(threadCell, "t")?.exit).toEqual({ errno: "ENOMEM", result: null });
  });
});

const counterCell = cellType<{ value: number; who: string }>("test-counter", { provenance: ["who"] });
const adder = routine(
  "test_adder",
  (a: { id: number; times: number }) => ({ ...a, done: 0, pick: 0 }),
  ({ step, choose, repeatUntil, sleep }) => [
    repeatUntil("times", (l) => l.done >= l.times, [
      step("add", (host, l) => {
        const counter = host.edit(counterCell, l.id);
        counter.value++;
        counter.who = `adder ${l.id}`;
        l.done++;
      }),
      choose(
        "pick",
        () => 3,
        (_host, l, choice) => {
          l.pick = choice;
        },
      ),
      sleep("rest", (l) => 10 * (l.pick + 1)),
    ]),
  ],
);

function adders(count: number, times: number, seed = 1): World {
  const w = new World({ tracking: TRACKED, seed });
  w.boot((host) => {
    for (let id = 0; id < count; id++) {
      host.add(counterCell, id, { value: 0, who: "" });
      spawnThread(host, `adder/${id}`, adder, { id, times });
    }
  });
  return w;
}

describe("steps", () => {
  test("undo gives every state back, text and hash", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, steps) => {
        const w = adders(3, 4, seed);
        const trail: { text: string; hash: string; undo: NonNullable<ReturnType<World["perform"]>> }[] = [];
        for (let turn = 0; turn < steps; turn++) {
          const action = random(w);
          if (action === null) break;
          const before = { text: canonicalHost(w), hash: JSON.stringify(w.hashAt(w.now)) };
          const undo = w.perform(action);
          expect(checkHash(w)).toBeNull();
          if (undo === null) throw new Error("no undo");
          trail.push({ ...before, undo });
        }
        for (const { text, hash, undo } of trail.toReversed()) {
          w.unperform(undo);
          expect(canonicalHost(w)).toBe(text);
          expect(JSON.stringify(w.hashAt(w.now))).toBe(hash);
          expect(checkHash(w)).toBeNull();
        }
      }),
      { numRuns: 30 },
    );
  });

  test("steps given back and taken again together are those given back one by one", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, steps) => {
        const w = adders(3, 4, seed);
        const states = [canonicalHost(w)];
        const undos: StepUndo[] = [];
        for (let turn = 0; turn < steps; turn++) {
          const action = random(w);
          if (action === null) break;
          undos.push(w.perform(action) as StepUndo);
          states.push(canonicalHost(w));
        }
        const half = undos.length >> 1;
        w.exchange(undos.slice(half).toReversed());
        expect(canonicalHost(w)).toBe(states[half]);
        expect(checkHash(w)).toBeNull();
        const runnable = [...w.runnable];
        expect(cloneWorld(w).runnable).toEqual(runnable);
        w.exchange(undos.slice(half));
        expect(canonicalHost(w)).toBe(states.at(-1));
        expect(checkHash(w)).toBeNull();
      }),
      { numRuns: 30 },
    );
  });

  test("what has come and gone leaves nothing behind where steps are not undone", () => {
    const w = new World({ tracking: { undo: false, hash: false }, seed: 1 });
    w.boot((host) => {
      for (let id = 0; id < 3; id++) {
        host.add(counterCell, id, { value: 0, who: "" });
        spawnThread(host, `adder/${id}`, adder, { id, times: 5 });
      }
    });
    expect(w.timersSet).toBe(0);
    run(w, random, { until: ({ timersSet }) => timersSet === 3 });
    run(w, random);
    expect(w.timersSet).toBe(0);
    expect(w.size).toBe(3);
    for (let turn = 0; turn < 20_000; turn++) {
      w.boot((host) => host.add(noteCell, `note ${turn}`, { lines: [] }));
      w.boot((host) => host.drop(noteCell, `note ${turn}`));
    }
    expect(w.size).toBe(3);
    expect(w.held).toBeLessThan(5_000);
  });

  test("a name that comes back is not taken for the entry that was dropped", () => {
    const w = new World({ tracking: { undo: false, hash: false }, seed: 1 });
    // A step that drops an entry may be the one at whose end useless entries go,
    // the entry itself among them: it is noted again although it is in no table.
    for (let turn = 0; turn < 3 * 4_096; turn++) {
      w.boot((host) => {
        for (const id of ["again", `note ${turn}`]) host.add(noteCell, id, { lines: [] });
      });
      w.boot((host) => {
        for (const id of [`note ${turn}`, "again"]) host.drop(noteCell, id);
      });
      w.boot((host) => host.add(noteCell, "again", { lines: [] }));
      for (let other = 0; other < 3; other++) {
        w.boot((host) => host.add(noteCell, `other ${turn}.${other}`, { lines: [] }));
        w.boot((host) => host.drop(noteCell, `other ${turn}.${other}`));
        expect(w.get(noteCell, "again")).toBeDefined();
      }
      w.boot((host) => host.drop(noteCell, "again"));
    }
  });

  test("commuting steps in either order hash alike, whoever provenance names", () => {
    const ab = adders(2, 1);
    const ba = adders(2, 1);
    for (const thread of ["adder/0", "adder/1"]) ab.perform({ thread, choice: 0 });
    for (const thread of ["adder/1", "adder/0"]) ba.perform({ thread, choice: 0 });
    expect(ab.hashAt(ab.now)).toEqual(ba.hashAt(ba.now));
    expect(canonicalHost(ab)).toBe(canonicalHost(ba));
  });

  test("the same wait seen later hashes alike: deadlines count relative to now", () => {
    const early = adders(1, 9);
    const late = adders(1, 9);
    late.perform({ clock: 123_456 });
    for (const w of [early, late]) {
      w.perform({ thread: "adder/0", choice: 0 });
      w.perform({ thread: "adder/0", choice: 2 });
    }
    expect(early.nextTimer()?.deadline).toBe(30);
    expect(late.nextTimer()?.deadline).toBe(123_486);
    expect(early.hashAt(early.now)).toEqual(late.hashAt(late.now));
  });

  test("a write without edit is found, with the cell's name", () => {
    const w = adders(2, 2);
    (w.get(counterCell, 1) as { value: number }).value = 7;
    expect(checkHash(w)).toContain("test-counter/1");
  });

  test("a run goes on the same from a save at any step", () => {
    const whole = adders(3, 3, 5);
    const actions: Action[] = [];
    run(whole, (w) => {
      const action = random(w);
      if (action !== null) actions.push(action);
      return action;
    });
    for (const at of [0, 1, 7, actions.length - 1]) {
      const w = adders(3, 3, 5);
      const again = replay(actions.slice(0, at));
      run(w, again);
      w.counters.prng = [...w.counters.prng];
      const from = adders(3, 3, 5);
      run(from, random, { until: ({ counters }) => counters.step === at });
      const copy = cloneWorld(from);
      run(copy, random);
      expect(saveWorld(copy)).toBe(saveWorld(whole));
    }
  });

  test("fifo gives everybody a turn", () => {
    const w = adders(3, 1);
    const order: string[] = [];
    run(
      w,
      (of) => {
        const action = fifo(of);
        if (action !== null && "thread" in action) order.push(action.thread);
        return action;
      },
      { until: ({ counters }) => counters.step >= 6 },
    );
    expect(order).toEqual(["adder/0", "adder/1", "adder/2", "adder/0", "adder/1", "adder/2"]);
  });
});

const poke = input("test.poke", (host, data: { id: number }) => {
  host.edit(counterCell, data.id).value += 100;
});

test("inputs are steps, recorded by name and data", () => {
  const w = adders(1, 1);
  const steps: unknown[] = [];
  w.onStep = ({ action }) => void steps.push(action);
  w.give(poke, { id: 0 });
  expect(steps).toEqual([{ input: "test.poke", data: { id: 0 } }]);
  expect(must(w, counterCell, 0).value).toBe(100);
});

test("every event has the event that caused it", () => {
  const w = world();
  const events: { seq: number; parent: number; kind: string; by: string }[] = [];
  w.sink = (record) => void events.push(record);
  w.boot((host) => void spawnThread(host, "t", everything, { bad: false }));
  run(w, fifo);
  expect(events.map(({ kind }) => kind)).toEqual(["spawn", "exit"]);
  expect(events[1]?.parent).toBe(events[0]?.seq);
});
