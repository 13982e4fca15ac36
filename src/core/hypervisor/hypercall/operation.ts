// SPDX-License-Identifier: Apache-2.0
//
// A binary hypercall comes in three parts: its arguments are taken out of the
// caller's memory, one of the hypervisor's functions is performed on them, and
// what it gives is put back. Only the middle part is a step of the host, named
// and with plain arguments, so that it can be recorded; the built-in toolstack
// calls the very same functions.

import * as X from "../../../abi/4.17/constants.ts";
import type { Plain } from "../../engine/cells.ts";
import { assert, isFailure } from "../../engine/errno.ts";
import type { Errno, Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import type { Routine } from "../../engine/routine.ts";
import type { Caller } from "../caller.ts";
import type { CallerMemory } from "./caller-memory.ts";

/** The middle part. */
export interface Operation {
  readonly name: string;
  /**
   * `query` changes nothing and is not recorded; `atomic` is one step;
   * `restartable` is a routine of several, between which others run.
   */
  readonly kind: "query" | "atomic" | "restartable";
  readonly run: ((host: Host, caller: Caller, args: never) => Plain | Failure) | null;
  readonly routine: Routine<never, Plain | void> | null;
}

/** An operation of known arguments and result. */
export interface TypedOperation<A, R> extends Operation {
  /** Carry the types; never present. */
  readonly args?: A;
  readonly result?: R;
}

const registry = new Map<string, Operation>();

function register(operation: Operation): void {
  assert(!registry.has(operation.name), `operation ${operation.name} declared twice`);
  registry.set(operation.name, operation);
}

/** The operation of that name, as an input names it. */
export function operationNamed(name: string): Operation {
  const found = registry.get(name);
  assert(found !== undefined, `no operation ${name}`);
  return found;
}

/** Declares an operation that changes the host in one step. */
export function operation<A, R>(
  name: string,
  run: (host: Host, caller: Caller, args: A) => R | Failure,
): TypedOperation<A, R> {
  const made = { name, kind: "atomic", run: run as Operation["run"], routine: null } as const;
  register(made);
  return made;
}

/** Declares an operation that only looks. */
export function query<A, R>(
  name: string,
  run: (host: Host, caller: Caller, args: A) => R | Failure,
): TypedOperation<A, R> {
  const made = { name, kind: "query", run: run as Operation["run"], routine: null } as const;
  register(made);
  return made;
}

/** Declares an operation that restarts as often as it must; its routine takes the caller among its arguments. */
export function restartable<A, R>(
  name: string,
  routine: Routine<A & { caller: Caller }, R>,
): TypedOperation<Omit<A, "caller">, R> {
  const made = {
    name,
    kind: "restartable",
    run: null,
    routine: routine as unknown as Operation["routine"],
  } as const;
  register(made);
  return made;
}

/** A hypercall whose arguments are known, ready to be performed. */
export interface Prepared {
  readonly operation: Operation;
  readonly args: Plain;
  /** Puts what came back where the caller wants it, and says what the hypercall returns. */
  readonly reply: (result: never) => number | Failure;
  /** What a failure leaves in the caller's memory, where anything. */
  readonly failed?: (failure: Failure) => void;
}

/** Readies an operation. Without `reply` its result, where a number, is the hypercall's. */
export function prepare<A, R>(
  made: TypedOperation<A, R>,
  args: A,
  reply: (result: R) => number | Failure = (result) => (typeof result === "number" ? result : 0),
): Prepared {
  return { operation: made, args: args as Plain, reply };
}

/** A hypercall nobody here knows, worth a line in the log. */
export interface Unknown extends Failure {
  readonly unknown: string;
}

/** The failure of a hypercall that is not there, by its name or number: ENOSYS, where Xen gives no other. */
export function unknownCall(what: string, errno: Errno = "ENOSYS"): Unknown {
  return { errno, unknown: what };
}

/** What has a command's prefix and is an argument of one. */
const ARGUMENTS =
  /^(cpu_featureset|cpu_policy|access_op|paging_op|sharing_op|resource|vmtrace)_|^no_gfns$|^[^a-z]/;

/** A command by the name the headers give its number, where they have one: "memory_mapping (39)". */
function commandName(prefix: string, number: number): string {
  const found = Object.entries(X).find(
    ([name, value]) =>
      value === number && name.startsWith(prefix) && !ARGUMENTS.test(name.slice(prefix.length)),
  );
  return found === undefined ? String(number) : `${found[0].slice(prefix.length)} (${number})`;
}

/**
 * The failure of a hypercall's command that is not there.
 *
 * @param prefix what its constants begin with: "XEN_DOMCTL_"
 */
export function unknownCommand(family: string, prefix: string, number: number, errno?: Errno): Unknown {
  return unknownCall(`${family} ${commandName(prefix, number)}`, errno);
}

/** Whether a failure is that of a hypercall nobody knows. */
export function isUnknown(result: unknown): result is Unknown {
  return isFailure(result) && "unknown" in result;
}

/** Already answered, nothing to perform: a version number, a failure that is this hypercall's answer. */
export type Answered = number;

/** A hypercall as it arrives: who, from where, and its registers. */
export interface Arrived {
  readonly host: Host;
  readonly caller: Caller;
  readonly memory: CallerMemory;
  /** Registers beyond the number; above 2^53 they are not exact, and not valid either. */
  readonly args: readonly number[];
}

/** Takes the arguments of one family's hypercalls out of the caller's memory. */
export type Family = (call: Arrived) => Prepared | Answered | Failure;
