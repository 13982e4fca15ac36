// SPDX-License-Identifier: Apache-2.0
//
// Blocking code as data: a routine is a table of named atomic steps that reads
// like the function it models. It is compiled to a flat list of instructions;
// a frame remembers the *name* of the instruction it stands at, so positions
// survive edits of the code and print like a kernel stack.

import type { Plain } from "./cells.ts";
import { assert, fail } from "./errno.ts";
import type { Errno, Failure } from "./errno.ts";
import type { Host } from "./host.ts";
import { lockCell, releaseLock } from "./lock.ts";

/** A routine that takes `A` and returns `R`; its locals are its own affair. */
export interface Routine<in A, out R> {
  readonly name: string;
  /** Instructions in order; the last one returns. */
  readonly code: readonly Instruction[];
  /** Where control goes when an instruction in a range fails: innermost range first. */
  readonly handlers: readonly Handler[];
  readonly labels: ReadonlyMap<string, number>;
  readonly locals: (args: A) => object;
  readonly result: (locals: object) => R;
}

// A routine of any argument: what registries and compiled code hold.
export type AnyRoutine = Routine<never, unknown>;

type Locals = never;

/** What exploration may know of a step. */
export interface Unseen {
  /**
   * What the step does, or the step behind a wait, is seen by nobody else, and
   * nobody else can change it: taking a reply that has come, looking at the
   * clock. Exploration need not try it in every order with others' steps.
   */
  unseen?: boolean;
}

/** What a wait may give beside its condition. */
export interface WaitOptions<L> extends Unseen {
  /** Microseconds until the wait gives up; `null`: never. Without it the wait has no limit. */
  timeout?: (l: L) => number | null;
  /** What a time-out does to the locals; without it, a time-out fails with ETIMEDOUT. */
  timedOut?: (l: L) => void;
  /** Nothing else ends it, no signal either: TASK_UNINTERRUPTIBLE, state D in `ps`. */
  uninterruptible?: boolean;
}

export type Instruction =
  | { op: "step"; name: string; run: (host: Host, l: Locals) => void | Failure; unseen: boolean }
  | {
      op: "choose";
      name: string;
      count: (l: Locals) => number;
      run: (host: Host, l: Locals, choice: number) => void | Failure;
    }
  | {
      op: "wait";
      name: string;
      until: (host: Host, l: Locals) => boolean;
      timeout: ((l: Locals) => number | null) | null;
      timedOut: ((l: Locals) => void) | null;
      unseen: boolean;
      uninterruptible: boolean;
    }
  | {
      op: "call";
      name: string;
      routine: (l: Locals) => string;
      args: (l: Locals) => object;
      then: ((l: Locals, result: never) => void) | null;
    }
  | { op: "branch"; unless: (l: Locals) => boolean; to: number }
  | { op: "jump"; to: number }
  | { op: "enter each"; name: string; list: (l: Locals) => readonly Plain[] }
  | { op: "next"; name: string; bind: (l: Locals, item: never) => void; to: number }
  | { op: "end cleanup" }
  | { op: "return" };

export interface Handler {
  /** Instructions `from` to `to - 1` are covered. */
  from: number;
  to: number;
  target: number;
  /** A handler consumes the failure; a clean-up (null) passes it on when it ends. */
  caught: ((l: Locals, errno: Errno) => void) | null;
}

const registry = new Map<string, AnyRoutine>();

/** The routine of that name; a position in a trace or a saved host refers to it so. */
export function routineNamed(name: string): AnyRoutine {
  const found = registry.get(name);
  assert(found !== undefined, `no routine ${name}`);
  return found;
}

/** One part of a routine's body, over locals `L`. */
export type Node<L> = (to: Assembler, witness?: (l: L) => void) => void;

/** Collects a routine's instructions. */
class Assembler {
  readonly routine: string;
  readonly code: Instruction[] = [];
  readonly handlers: Handler[] = [];
  readonly labels = new Map<string, number>();

  constructor(routine: string) {
    this.routine = routine;
  }

  put(instruction: Instruction): number {
    const at = this.code.length;
    // Frames stand at scheduling points and calls only: those have labels.
    if ("name" in instruction && instruction.op !== "next" && instruction.op !== "enter each") {
      assert(!this.labels.has(instruction.name), `${this.routine}: two steps named ${instruction.name}`);
      this.labels.set(instruction.name, at);
    }
    this.code.push(instruction);
    return at;
  }

  putAll(nodes: readonly Node<never>[]): void {
    for (const node of nodes) node(this);
  }
}

/** Every loop must come past a scheduling point, or a step could spin for ever. */
function assertYields(to: Assembler, from: number, name: string): void {
  const yields = to.code
    .slice(from)
    .some(({ op }) => op === "step" || op === "wait" || op === "choose" || op === "call");
  assert(yields, `${to.routine}: loop ${name} has no step`);
}

function putCleanup(to: Assembler, body: readonly Node<never>[], cleanup: readonly Node<never>[]): void {
  const from = to.code.length;
  to.putAll(body);
  const target = to.code.length;
  to.handlers.push({ from, to: target, target, caught: null });
  to.putAll(cleanup);
  to.put({ op: "end cleanup" });
}

/** The words a routine over locals `L` is written in. */
export interface Vocabulary<L> {
  /** One atomic step. May not block; may fail by returning `fail(…)`. */
  step(name: string, run: (host: Host, l: L) => void | Failure, options?: Unseen): Node<L>;
  /** Calls a routine. `args` and `then` see locals only. Its failure is this call's failure. */
  call<A, R>(
    name: string,
    routine: Routine<A, R>,
    args: (l: L) => A,
    then?: (l: L, result: R) => void,
  ): Node<L>;
  /** Calls the routine whose name the locals tell: a driver's callback, a script. */
  callNamed(
    name: string,
    routine: (l: L) => string,
    args: (l: L) => object,
    then?: (l: L, result: unknown) => void,
  ): Node<L>;
  /** Decides on locals only: what a step read stays read. */
  when(name: string, condition: (l: L) => boolean, then: Node<L>[], otherwise?: Node<L>[]): Node<L>;
  /** Runs the body for each item of a list that is read once, at the start. */
  each<T extends Plain>(
    name: string,
    list: (l: L) => readonly T[],
    bind: (l: L, item: T) => void,
    body: Node<L>[],
  ): Node<L>;
  /** Runs the body at least once, until the condition on locals holds after it. */
  repeatUntil(name: string, condition: (l: L) => boolean, body: Node<L>[]): Node<L>;
  /** Runs the body for ever: a daemon's loop; a failure leaves it. */
  forever(name: string, body: Node<L>[]): Node<L>;
  /**
   * Blocks until the condition holds. The condition may read cells with `get`
   * only; it is asked again whenever a cell it read has changed. The step that
   * follows runs with the condition true.
   */
  waitFor(name: string, until: (host: Host, l: L) => boolean, options?: WaitOptions<L>): Node<L>;
  /** Lets time pass, in microseconds. */
  sleep(name: string, duration: (l: L) => number): Node<L>;
  /** What the environment decides: each of `0 … count-1` is explored, one is drawn in simulation. */
  choose(
    name: string,
    count: (l: L) => number,
    run: (host: Host, l: L, choice: number) => void | Failure,
  ): Node<L>;
  /** A body whose failure is caught. */
  attempt(body: Node<L>[]): { onError(caught: (l: L, errno: Errno) => void, handler: Node<L>[]): Node<L> };
  /** A body and what is done after it, failed or not; the failure goes on after the clean-up. */
  always(body: Node<L>[], cleanup: Node<L>[]): Node<L>;
  /** A body under a named lock, as others who take it see it. */
  locked(name: string, lock: (l: L) => string, body: Node<L>[]): Node<L>;
  /** Fails with an error number. */
  failWith(name: string, errno: Errno | ((l: L) => Errno)): Node<L>;
  /** Leaves the routine, with the result its locals give. Clean-ups around it are not run: put it outside. */
  finish(): Node<L>;
}

function erase<T>(value: unknown): T {
  return value as T;
}

const words: Vocabulary<never> = {
  step: (name, run, options) => (to) =>
    void to.put({ op: "step", name, run, unseen: options?.unseen ?? false }),
  choose: (name, count, run) => (to) => void to.put({ op: "choose", name, count, run }),
  call: (name, routine, args, then) => (to) =>
    void to.put({ op: "call", name, routine: () => routine.name, args: erase(args), then: then ?? null }),
  callNamed: (name, routine, args, then) => (to) =>
    void to.put({ op: "call", name, routine, args, then: then ?? null }),
  when: (name, condition, then, otherwise) => (to) => {
    const branch = { op: "branch" as const, name, unless: condition, to: 0 };
    to.code.push(branch);
    to.putAll(then);
    if (otherwise !== undefined) {
      const jump = { op: "jump" as const, to: 0 };
      to.put(jump);
      branch.to = to.code.length;
      to.putAll(otherwise);
      jump.to = to.code.length;
    } else branch.to = to.code.length;
  },
  each: (name, list, bind, body) => (to) => {
    to.put({ op: "enter each", name, list });
    const next = { op: "next" as const, name, bind, to: 0 };
    const start = to.put(next);
    to.putAll(body);
    assertYields(to, start, name);
    to.put({ op: "jump", to: start });
    next.to = to.code.length;
  },
  repeatUntil: (name, condition, body) => (to) => {
    const start = to.code.length;
    to.putAll(body);
    assertYields(to, start, name);
    to.code.push({ op: "branch", unless: condition, to: start });
  },
  forever: (name, body) => (to) => {
    const start = to.code.length;
    to.putAll(body);
    assertYields(to, start, name);
    to.put({ op: "jump", to: start });
  },
  waitFor: (name, until, options) => (to) =>
    void to.put({
      op: "wait",
      name,
      until,
      timeout: options?.timeout ?? null,
      timedOut: options?.timedOut ?? null,
      unseen: options?.unseen ?? false,
      uninterruptible: options?.uninterruptible ?? false,
    }),
  sleep: (name, duration) => (to) =>
    void to.put({
      op: "wait",
      name,
      until: () => false,
      timeout: duration,
      timedOut: () => {},
      unseen: false,
      uninterruptible: false,
    }),
  attempt: (body) => ({
    onError: (caught, handler) => (to) => {
      const from = to.code.length;
      to.putAll(body);
      const jump = { op: "jump" as const, to: 0 };
      const end = to.put(jump);
      to.handlers.push({ from, to: end, target: to.code.length, caught });
      to.putAll(handler);
      jump.to = to.code.length;
    },
  }),
  always: (body, cleanup) => (to) => putCleanup(to, body, cleanup),
  locked: (name, lock, body) => (to) => {
    to.put({
      op: "wait",
      name: `lock ${name}`,
      until: (host, l) => host.get(lockCell, lock(l)) === undefined,
      timeout: null,
      timedOut: null,
      unseen: false,
      uninterruptible: true,
    });
    to.put({
      op: "step",
      name: `locked ${name}`,
      unseen: false,
      run: (host, l) => void host.add(lockCell, lock(l), { locked: true }),
    });
    putCleanup(to, body, [words.step(`unlock ${name}`, (host, l) => releaseLock(host, lock(l)))]);
  },
  failWith: (name, errno) => (to) =>
    void to.put({
      op: "step",
      name,
      unseen: true,
      run: (_host, l) => fail(typeof errno === "string" ? errno : errno(l)),
    }),
  finish: () => (to) => void to.put({ op: "return" }),
};

/**
 * Defines a routine. Names are unique in the program: they are what traces,
 * stacks and saved hosts refer to.
 *
 * @param locals makes the plain locals from the arguments; all fields present from the start
 * @param body the routine's parts, written in the vocabulary's words
 * @param result what the caller gets from the locals at the end
 */
export function routine<A, L extends object, R = void>(
  name: string,
  locals: (args: A) => L,
  body: (words: Vocabulary<L>) => Node<L>[],
  result?: (l: L) => R,
): Routine<A, R> {
  assert(!registry.has(name), `routine ${name} defined twice`);
  const to = new Assembler(name);
  to.putAll(erase<readonly Node<never>[]>(body(erase<Vocabulary<L>>(words))));
  to.put({ op: "return" });
  const made: Routine<A, R> = {
    name,
    code: to.code,
    handlers: to.handlers,
    labels: to.labels,
    locals,
    result: erase<(locals: object) => R>(result ?? (() => undefined)),
  };
  registry.set(name, made);
  return made;
}
