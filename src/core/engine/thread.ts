// SPDX-License-Identifier: Apache-2.0
//
// A thread is data: a name and a stack of frames. This file moves threads
// through their routines; which thread moves is the scheduler's affair.

import { cellType, must } from "./cells.ts";
import type { Cells, DeepReadonly, Plain } from "./cells.ts";
import { assert, isFailure } from "./errno.ts";
import type { Errno } from "./errno.ts";
import { mayRun } from "./gate.ts";
import type { Host } from "./host.ts";
import { routineNamed } from "./routine.ts";
import type { AnyRoutine, Handler, Instruction, Routine } from "./routine.ts";

/** Where a routine stands. `at` names the instruction that comes next, or the call that is under way. */
export interface Frame {
  routine: string;
  at: string;
  locals: object;
  /** Open loops over lists, by name. */
  loops: { [name: string]: { items: readonly Plain[]; index: number } };
  /** The failure a clean-up passes on when it ends. */
  pending: Errno | null;
}

/** What a thread is to somebody who lists them: `ps` shows kernel threads in brackets. */
export type ThreadKind = "kthread" | "process" | "vcpu" | "xen";

/** A thread. Its name is its identifier: structured, unique among those alive, as `dom0/xenwatch`. */
export interface Thread {
  kind: ThreadKind;
  /** The domain it runs in; null for the hypervisor's own. */
  domid: number | null;
  /** The innermost frame; null once it has ended and waits to be joined. */
  frame: Frame | null;
  /** How many routines wait for a call to return: their frames are cells of their own. */
  callers: number;
  /** When the wait it stands at gives up, absolute microseconds, or null. */
  deadline: number | null;
  /** Whether that moment has come. */
  timedOut: boolean;
  /** Takes no step before somebody lets it go on: SIGSTOP. */
  stopped: boolean;
  /** Kept after its end until somebody joins it. */
  joinable: boolean;
  exit: { errno: Errno | null; result: Plain } | null;
  /** Microseconds when it started. */
  startedAt: number;
  /** The trace event that made it runnable, or its own last one; 0 for none. */
  wokenBy: number;
}

export const threadCell = cellType<Thread>("thread", {
  provenance: ["wokenBy", "startedAt"],
  deadlines: ["deadline"],
});

/**
 * There is one for each thread that has not ended. Who waits for a thread's end
 * reads this and not where the thread stands, which each of its steps changes.
 */
export const aliveCell = cellType<{ alive: true }>("thread-alive");

/**
 * The frame of a routine that has called another, by `frameId`: a step of the
 * callee touches none of its callers' locals, so they are not copied and hashed with it.
 */
const callerCell = cellType<Frame>("caller");

/** Identifies the frame above `depth` others of a thread; the outermost has none above it. */
function frameId(name: string, depth: number): string {
  return `${name}/${depth}`;
}

declare module "./trace.ts" {
  interface TraceEvents {
    /** A thread came into being. */
    spawn: { thread: string; routine: string };
    /** A thread ended, with its routine's failure where it failed. */
    exit: { thread: string; errno: Errno | null };
  }
}

/** How a thread is started, where it differs from a dom0 process nobody joins. */
export interface SpawnOptions {
  kind?: ThreadKind;
  domid?: number | null;
  joinable?: boolean;
}

/**
 * Starts a thread at the first step of a routine. Throws where a thread of that
 * name is alive: name it after what it serves.
 */
export function spawnThread<A>(
  host: Host,
  name: string,
  routine: Routine<A, unknown>,
  args: A,
  options: SpawnOptions = {},
): string {
  const thread = host.add(threadCell, name, {
    kind: options.kind ?? "process",
    domid: options.domid === undefined ? 0 : options.domid,
    frame: null,
    callers: 0,
    deadline: null,
    timedOut: false,
    stopped: false,
    joinable: options.joinable ?? false,
    exit: null,
    startedAt: host.now,
    wokenBy: 0,
  });
  host.add(aliveCell, name, { alive: true });
  host.emit("spawn", { thread: name, routine: routine.name });
  enter(host, name, thread, routine, args as object);
  settle(host, name, thread, 0);
  return name;
}

/** The instruction a thread stands at; undefined once it has ended. */
export function standingAt(thread: Standing): Instruction | undefined {
  const { frame } = thread;
  if (frame === null) return undefined;
  const { code, labels } = routineNamed(frame.routine);
  return code[position(labels, frame)];
}

/** What of a thread says where it stands. */
interface Standing {
  readonly frame: Readonly<Frame> | null;
}

/** A thread's frames, innermost first; none once it has ended, or where there is no such thread. */
export function framesOf(cells: Cells, name: string): DeepReadonly<Frame>[] {
  const thread = cells.get(threadCell, name);
  if (thread === undefined || thread.frame === null) return [];
  const frames: DeepReadonly<Frame>[] = [thread.frame];
  for (let depth = thread.callers - 1; depth >= 0; depth--)
    frames.push(must(cells, callerCell, frameId(name, depth)));
  return frames;
}

/** The stack as `/proc/PID/stack` prints it, innermost first: where it stands, then who called. */
export function stackOf(cells: Cells, name: string): { routine: string; at: string }[] {
  return framesOf(cells, name).map(({ routine, at }) => ({ routine, at }));
}

function position(
  labels: ReadonlyMap<string, number>,
  frame: { readonly routine: string; readonly at: string },
): number {
  const at = labels.get(frame.at);
  assert(at !== undefined, `${frame.routine} has no step ${frame.at}`);
  return at;
}

/** Whether the thread could take a step now: never while its domain is paused. Reads cells with `get` only. */
export function canStep(
  host: Host,
  thread: Readonly<Pick<Thread, "frame" | "timedOut" | "domid" | "stopped">>,
): boolean {
  return !thread.stopped && mayRun(host, thread.domid) && isReady(host, thread);
}

/**
 * What a thread does, as `ps` shows it: R runs or could, S sleeps, D sleeps and
 * no signal wakes it, T was stopped, Z has ended and waits to be joined.
 */
export type TaskState = "R" | "S" | "D" | "T" | "Z";

/** A thread's state. Asks what it waits for: not to be called in a wait's condition. */
export function taskState(
  host: Host,
  thread: Readonly<Pick<Thread, "frame" | "timedOut" | "stopped" | "exit">>,
): TaskState {
  if (thread.exit !== null) return "Z";
  if (thread.stopped) return "T";
  if (isReady(host, thread)) return "R";
  const instruction = standingAt(thread);
  return instruction?.op === "wait" && instruction.uninterruptible ? "D" : "S";
}

/** Stops a thread where it stands, or lets it go on: SIGSTOP, SIGCONT. Nothing where there is none of that name. */
export function stopThread(host: Host, name: string, stopped: boolean): void {
  const thread = host.get(threadCell, name);
  if (thread !== undefined && thread.stopped !== stopped) host.edit(threadCell, name).stopped = stopped;
}

/** Whether the thread waits for nothing, or what it waits for has come; its domain may be paused. */
export function isReady(host: Host, thread: Readonly<Pick<Thread, "frame" | "timedOut">>): boolean {
  const instruction = standingAt(thread);
  if (instruction === undefined) return false;
  if (instruction.op !== "wait" || thread.timedOut) return true;
  return instruction.until(host, thread.frame?.locals as never);
}

/** Whether the thread's next step is seen by nobody else: see `Unseen`. */
export function isUnseen(thread: Readonly<Pick<Thread, "frame">>): boolean {
  const instruction = standingAt(thread);
  return (instruction?.op === "step" || instruction?.op === "wait") && instruction.unseen;
}

/** How many ways the thread's next step can go: more than one at a `choose`. */
export function choicesOf(thread: Readonly<Pick<Thread, "frame">>): number {
  const instruction = standingAt(thread);
  return instruction?.op === "choose" ? instruction.count(thread.frame?.locals as never) : 1;
}

/**
 * Performs one atomic step of a thread that can take one: a wait that is over
 * together with the step behind it.
 */
export function performStep(host: Host, name: string, choice: number): void {
  const thread = host.edit(threadCell, name);
  let instruction = standingAt(thread);
  if (instruction?.op === "wait") {
    if (!leaveWait(host, name, thread, instruction)) return;
    instruction = standingAt(thread);
    if (instruction?.op !== "step") return;
  }
  const { frame } = thread;
  assert(frame !== null && instruction !== undefined, `${name} has ended`);
  assert(instruction.op === "step" || instruction.op === "choose", `${name} stands at a ${instruction.op}`);
  const outcome =
    instruction.op === "step"
      ? instruction.run(host, frame.locals as never)
      : instruction.run(host, frame.locals as never, choice);
  if (host.get(threadCell, name) !== thread || thread.exit !== null) return; // killed by its own step
  if (isFailure(outcome)) unwind(host, name, thread, outcome.errno);
  else settle(host, name, thread, next(frame));
}

/** Goes past a wait. False where that was all: it failed, or time is not up. */
function leaveWait(host: Host, name: string, thread: Thread, wait: Instruction & { op: "wait" }): boolean {
  const frame = thread.frame as Frame;
  const met = wait.until(host, frame.locals as never);
  thread.deadline = null;
  thread.timedOut = false;
  if (!met) {
    if (wait.timedOut === null) {
      unwind(host, name, thread, "ETIMEDOUT");
      return false;
    }
    wait.timedOut(frame.locals as never);
  }
  settle(host, name, thread, next(frame));
  return true;
}

function next(frame: Frame): number {
  return position(routineNamed(frame.routine).labels, frame) + 1;
}

/** Calls a routine: its frame becomes the innermost one. */
function enter(host: Host, name: string, thread: Thread, routine: AnyRoutine, args: object): void {
  const locals = routine.locals(args as never);
  for (const field of threadCell.provenance)
    assert(!(field in locals), `${routine.name}: a local named ${field} would be no part of the state`);
  if (thread.frame !== null) host.add(callerCell, frameId(name, thread.callers++), thread.frame);
  thread.frame = { routine: routine.name, at: "", locals, loops: {}, pending: null };
}

/** Leaves the innermost frame for its caller's, or for none. */
function popFrame(host: Host, name: string, thread: Thread): Frame | null {
  thread.frame = null;
  if (thread.callers === 0) return null;
  const id = frameId(name, --thread.callers);
  thread.frame = host.edit(callerCell, id);
  host.drop(callerCell, id);
  return thread.frame;
}

/** Runs control instructions of the innermost frame from `at` until a scheduling point. */
function settle(host: Host, name: string, thread: Thread, at: number): void {
  let pc = at;
  for (;;) {
    const frame = thread.frame as Frame;
    const routine = routineNamed(frame.routine);
    const instruction = routine.code[pc] as Instruction;
    switch (instruction.op) {
      case "step":
      case "choose":
        frame.at = instruction.name;
        return;
      case "wait":
        frame.at = instruction.name;
        startWait(host, thread, frame, instruction);
        return;
      case "call":
        frame.at = instruction.name;
        enter(
          host,
          name,
          thread,
          routineNamed(instruction.routine(frame.locals as never)),
          instruction.args(frame.locals as never),
        );
        pc = 0;
        break;
      case "return":
        if (!leave(host, name, thread, routine)) return;
        pc = next(thread.frame as Frame);
        break;
      case "end cleanup":
        if (frame.pending !== null) {
          const errno = frame.pending;
          frame.pending = null;
          frame.at = nearestLabel(routine, pc);
          unwind(host, name, thread, errno, pc);
          return;
        }
        pc++;
        break;
      default:
        pc = control(frame, instruction, pc);
    }
  }
}

/** A frame inside a clean-up's end has no label of its own: the nearest one before it serves for messages. */
function nearestLabel(routine: AnyRoutine, pc: number): string {
  for (let at = pc; at >= 0; at--) {
    const instruction = routine.code[at] as Instruction;
    if ("name" in instruction && instruction.op !== "next" && instruction.op !== "enter each")
      return instruction.name;
  }
  return "";
}

type Control = Extract<Instruction, { op: "branch" | "jump" | "enter each" | "next" }>;

function control(frame: Frame, instruction: Control, pc: number): number {
  switch (instruction.op) {
    case "branch":
      return instruction.unless(frame.locals as never) ? pc + 1 : instruction.to;
    case "jump":
      return instruction.to;
    case "enter each":
      frame.loops[instruction.name] = { items: [...instruction.list(frame.locals as never)], index: 0 };
      return pc + 1;
    case "next": {
      const loop = frame.loops[instruction.name];
      assert(loop !== undefined, `${frame.routine}: loop ${instruction.name} was not entered`);
      if (loop.index >= loop.items.length) {
        delete frame.loops[instruction.name];
        return instruction.to;
      }
      instruction.bind(frame.locals as never, loop.items[loop.index++] as never);
      return pc + 1;
    }
  }
}

function startWait(host: Host, thread: Thread, frame: Frame, wait: Instruction & { op: "wait" }): void {
  const timeout = wait.timeout?.(frame.locals as never) ?? null;
  thread.deadline = timeout === null ? null : host.now + Math.max(0, timeout);
  thread.timedOut = false;
}

/** Returns from the innermost frame. False where that ended the thread. */
function leave(host: Host, name: string, thread: Thread, routine: AnyRoutine): boolean {
  const result = routine.result((thread.frame as Frame).locals);
  const caller = popFrame(host, name, thread);
  if (caller === null) {
    end(host, name, thread, null, (result ?? null) as Plain);
    return false;
  }
  const call = standingAt(thread);
  assert(call?.op === "call", `${caller.routine} did not call ${routine.name}`);
  call.then?.(caller.locals as never, result as never);
  return true;
}

/** Carries a failure to the nearest handler, outwards through the frames. */
function unwind(host: Host, name: string, thread: Thread, errno: Errno, from?: number): void {
  let at = from;
  for (;;) {
    const { frame } = thread;
    if (frame === null) return end(host, name, thread, errno, null);
    const routine = routineNamed(frame.routine);
    const pc = at ?? position(routine.labels, frame);
    const handler = handlerFor(routine.handlers, pc);
    if (handler === undefined) {
      popFrame(host, name, thread);
      at = undefined;
      continue;
    }
    closeLoops(frame, routine, handler);
    if (handler.caught === null) frame.pending = errno;
    else handler.caught(frame.locals as never, errno);
    return settle(host, name, thread, handler.target);
  }
}

/** A failure leaves the loops it happened in. */
function closeLoops(frame: Frame, routine: AnyRoutine, { from, to }: Handler): void {
  for (const instruction of routine.code.slice(from, to)) {
    if (instruction.op === "enter each") delete frame.loops[instruction.name];
  }
}

/** The innermost range around an instruction: handlers are listed innermost first. */
function handlerFor(handlers: readonly Handler[], pc: number): Handler | undefined {
  return handlers.find(({ from, to }) => from <= pc && pc < to);
}

function end(host: Host, name: string, thread: Thread, errno: Errno | null, result: Plain): void {
  thread.exit = { errno, result };
  thread.deadline = null;
  thread.timedOut = false;
  host.emit("exit", { thread: name, errno });
  host.drop(aliveCell, name);
  if (!thread.joinable) host.drop(threadCell, name);
}

/** Whether a joinable thread has ended: what `waitFor` before a `joinThread` asks. */
export function hasEnded(cells: Cells, name: string): boolean {
  return cells.get(aliveCell, name) === undefined;
}

/** Takes the exit of an ended, joinable thread and forgets the thread. */
export function joinThread(cells: Cells, name: string): { errno: Errno | null; result: Plain } {
  const exit = cells.get(threadCell, name)?.exit;
  assert(exit !== undefined && exit !== null, `${name} has not ended`);
  cells.drop(threadCell, name);
  return exit;
}

/** Ends a thread where it stands, without its clean-ups: SIGKILL, or the end of its domain. */
export function killThread(host: Host, name: string): void {
  const thread = host.get(threadCell, name);
  if (thread === undefined || thread.exit !== null) return;
  host.emit("exit", { thread: name, errno: "EINTR" });
  host.drop(aliveCell, name);
  for (let depth = thread.callers - 1; depth >= 0; depth--) host.drop(callerCell, frameId(name, depth));
  if (thread.joinable) {
    const killed = host.edit(threadCell, name);
    killed.frame = null;
    killed.callers = 0;
    killed.deadline = null;
    killed.exit = { errno: "EINTR", result: null };
  } else host.drop(threadCell, name);
}
