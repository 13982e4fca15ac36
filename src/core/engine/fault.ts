// SPDX-License-Identifier: Apache-2.0
//
// Faults: what goes wrong on a host because somebody wants to see what then
// happens. Each kind has a name and words, is injected and cleared while the
// host runs, and is a cell, so that it is part of the state like all else.
//
// To add one: declare its kind in the module that it makes go wrong,
//
//     const holdPacket = faultKind({
//       name: "hold-packet",
//       about: "whoever got a packet of this interface keeps it",
//       words: [{ name: "VIF", about: "the interface, as dom0 names it" }],
//       example: ["vif1.0"],
//       refuse: (cells, [vif]) => (isInterface(cells, vif) ? null : `there is no interface ${vif}`),
//     });
//
// and ask for it where it matters: `faultOn(host, holdPacket, "vif1.0")`. In a
// wait's condition that is all there is to do: clearing the fault wakes who waits.
// What must be done at once when it begins or ends is its `begin` and `end`.

import { cellType } from "./cells.ts";
import type { Cells, DeepReadonly } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Failure } from "./errno.ts";
import type { Host } from "./host.ts";

/** A word behind a fault's name. Those that must be there say which fault it is; optional ones say how bad. */
export interface FaultWord {
  /** As in a usage line: `VIF`, `DOMID`, `SECONDS`. */
  readonly name: string;
  readonly about: string;
  /** What it is where it is left out; words without a default come first. */
  readonly fallback?: string;
}

/** A kind of fault. */
export interface FaultKind {
  /** Words with dashes: `hold-packet`. */
  readonly name: string;
  /** What goes wrong, as a clause for help. */
  readonly about: string;
  readonly words: readonly FaultWord[];
  /** Words as one would give them. */
  readonly example: readonly string[];
  /** Why it cannot be injected with these words now, with what to do instead; null where it can. */
  readonly refuse?: (cells: Cells, words: readonly string[]) => string | null;
  /** What happens at once when it is injected, beside what asks for it later. */
  readonly begin?: (host: Host, words: readonly string[]) => void;
  /** What happens at once when it is cleared: the fault's cell is gone already. */
  readonly end?: (host: Host, words: readonly string[]) => void;
}

/** A fault that is injected. Identifier: its name and the words that must be there. */
export interface Fault {
  name: string;
  /** All of them, optional ones too. */
  words: string[];
  /** When it was injected (µs). */
  since: number;
}

export const faultCell = cellType<Fault>("fault", { provenance: ["since"] });

/** Why a fault was not injected or cleared, for whoever asked. */
export interface FaultRefusal extends Failure {
  readonly why: string;
}

declare module "./trace.ts" {
  interface TraceEvents {
    /** A fault was injected or cleared. */
    fault: { name: string; words: readonly string[]; state: "injected" | "cleared" };
  }
}

const kinds = new Map<string, FaultKind>();

/** Declares a kind of fault. Names are unique in the program. */
export function faultKind(kind: FaultKind): FaultKind {
  assert(!kinds.has(kind.name), `fault ${kind.name} declared twice`);
  kinds.set(kind.name, kind);
  return kind;
}

/** Every kind there is, by name. */
export function faultKinds(): FaultKind[] {
  return [...kinds.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** How a kind is asked for: `hold-packet VIF`, optional words in brackets. */
export function faultUsage({ name, words }: FaultKind): string {
  const shown = words.map((word) => (word.fallback === undefined ? word.name : `[${word.name}]`));
  return [name, ...shown].join(" ");
}

/** The fault of that kind with those words, or undefined while it is not injected. */
export function faultOf(
  cells: Cells,
  { name }: FaultKind,
  ...words: readonly (string | number)[]
): DeepReadonly<Fault> | undefined {
  return cells.get(faultCell, [name, ...words].join(" "));
}

/** Whether the fault of that kind with those words is injected: what the code asks that it makes go wrong. */
export function faultOn(cells: Cells, kind: FaultKind, ...words: readonly (string | number)[]): boolean {
  return faultOf(cells, kind, ...words) !== undefined;
}

/** Every fault that is injected, by name and words. */
export function faultsOn(cells: Cells): DeepReadonly<Fault>[] {
  return cells.ids(faultCell).flatMap((id) => cells.get(faultCell, id) ?? []);
}

function refusal(errno: Failure["errno"], why: string): FaultRefusal {
  return { errno, why };
}

/** A fault that may be injected: its kind, all its words, and its cell's identifier. */
interface Injection {
  readonly kind: FaultKind;
  readonly words: string[];
  readonly id: string;
}

/** What `injectFault` would do, or why it would refuse: ENOENT, EINVAL, EEXIST as it says. */
export function checkFault(cells: Cells, name: string, given: readonly string[]): Injection | FaultRefusal {
  const kind = kinds.get(name);
  if (kind === undefined) return unknown(name);
  const least = kind.words.filter((word) => word.fallback === undefined).length;
  if (given.length < least || given.length > kind.words.length)
    return refusal("EINVAL", `expected ${faultUsage(kind)}, as in: ${name} ${kind.example.join(" ")}`);
  const words = kind.words.map(({ fallback = "" }, at) => given[at] ?? fallback);
  const why = kind.refuse?.(cells, words) ?? null;
  if (why !== null) return refusal("EINVAL", why);
  const id = [name, ...words.slice(0, least)].join(" ");
  return cells.get(faultCell, id) === undefined
    ? { kind, words, id }
    : refusal("EEXIST", `${id} is injected already`);
}

/**
 * Injects a fault.
 *
 * @param words those behind its name; optional ones may be left out
 * @returns ENOENT for a fault there is not, EINVAL for wrong words or a host on which it means nothing, EEXIST where it
 *   is injected already
 */
export function injectFault(host: Host, name: string, words: readonly string[]): 0 | FaultRefusal {
  const checked = checkFault(host, name, words);
  if ("errno" in checked) return checked;
  host.add(faultCell, checked.id, { name, words: checked.words, since: host.now });
  host.emit("fault", { name, words: checked.words, state: "injected" });
  checked.kind.begin?.(host, checked.words);
  return 0;
}

function unknown(name: string): FaultRefusal {
  return refusal(
    "ENOENT",
    `there is no fault ${name}; there are: ${[...kinds.keys()].toSorted().join(", ")}`,
  );
}

/** Identifiers of the faults that `clearFaults` would clear, or why it would refuse. */
export function faultsMeant(
  cells: Cells,
  name?: string,
  words: readonly string[] = [],
): string[] | FaultRefusal {
  if (name !== undefined && !kinds.has(name)) return unknown(name);
  const asked = [...(name === undefined ? [] : [name]), ...words];
  const meant = cells.ids(faultCell).filter((id): id is string => {
    const fault = cells.get(faultCell, id);
    return fault !== undefined && asked.every((word, at) => [fault.name, ...fault.words][at] === word);
  });
  return meant.length === 0 && words.length > 0
    ? refusal("ENOENT", `${asked.join(" ")} is not injected`)
    : meant;
}

/**
 * Clears a fault, or all of a kind, or all.
 *
 * @param name a kind; undefined for all
 * @param words those that say which; none for all of the kind
 * @returns those that were cleared; ENOENT for a kind there is not or a fault that is not injected
 */
export function clearFaults(
  host: Host,
  name?: string,
  words: readonly string[] = [],
): DeepReadonly<Fault>[] | FaultRefusal {
  const meant = faultsMeant(host, name, words);
  if ("errno" in meant) return meant;
  // With what one kept, all that another is about may go, and that fault with it.
  return meant.flatMap((id) => (host.get(faultCell, id) === undefined ? [] : clearFault(host, id)));
}

function clearFault(host: Host, id: string): DeepReadonly<Fault> {
  const { name, words, since } = host.edit(faultCell, id);
  const fault = { name, words: [...words], since };
  host.drop(faultCell, id);
  host.emit("fault", { name, words: fault.words, state: "cleared" });
  kinds.get(name)?.end?.(host, fault.words);
  return fault;
}
