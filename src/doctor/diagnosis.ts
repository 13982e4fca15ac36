// SPDX-License-Identifier: Apache-2.0
//
// What the doctor says of a domain, as data: `words.ts` makes sentences of it,
// `--json` prints it as it is.

/** Where a domain stands on its way from creation to its last free. */
export type Stage =
  | "never used"
  | "running"
  | "paused"
  | "shut down"
  | "being killed"
  | "zombie"
  | "being freed"
  | "freed"
  /** Captured text does not say. */
  | "unknown";

/** A letter of xl's state column, and what put it there. */
export interface Letter {
  letter: string;
  means: string;
  /** Where it came from in this domain's life, where that can be told. */
  because: string | null;
}

/** References of one kind that one holder has. */
export interface Holding {
  /** "foreign map", "grant map", "set_target" …: the ledger's kinds. */
  kind: string;
  count: number;
  /** The operation that took the first of them, and when (µs since the host came up); null where only text was read. */
  op: string | null;
  since: number | null;
  /** Machine frames, the first of them; empty for a reference on the domain itself. */
  frames: number[];
  /** Grant references of the domain by which they are mapped. */
  grants: number[];
}

/** A thread on the way from a holder to what it waits for. */
export interface Waiting {
  thread: string;
  routine: string;
  /** The step at which it stands. */
  at: string;
  /** Thread that it waits for, or null where it waits for something else. */
  waitsFor: string | null;
  /** What else it waits for, in words; null where the step's name says all there is. */
  why: string | null;
}

/**
 * How a holder is known: a ledger names it, Xen's own output shows it, or it is
 * what is left when all else is excluded.
 */
export type Certainty = "recorded" | "shown" | "inferred";

/** Somebody who has references to the domain or to its pages. */
export interface Holder {
  certainty: Certainty;
  /** As the ledger names it: `d0/xenconsoled`. */
  name: string;
  /** Who that is, as the subject of a sentence. */
  who: string;
  /** More of who that could be, or null. */
  hint: string | null;
  /** The domain it runs in; null for the hypervisor. */
  domid: number | null;
  /** Process number, where it is a process of dom0. */
  pid: number | null;
  holdings: Holding[];
  /** From the holder's own thread on: each waits for the next. */
  chain: Waiting[];
  /** The command that makes it let go, or null where none is known. */
  release: string | null;
}

/** Somebody else who does not get on because of the same cause. */
export interface Stalled {
  thread: string;
  /** What it is doing there: `libxl__device_destroy: wait`. */
  standsAt: string;
  /** Domains whose events wait behind it. */
  domains: number[];
}

/** What is left of a domain that is dead or being killed. */
export interface Counts {
  refcnt: number;
  nrPages: number;
  xenheapPages: number;
}

/** Everything the doctor found out. */
export interface Diagnosis {
  domid: number;
  /** As xenstore has it; null once the toolstack has removed it. */
  name: string | null;
  stage: Stage;
  /** xl's six letters, or null for a domain that is not on the list. */
  state: string | null;
  letters: Letter[];
  counts: Counts | null;
  /** Who keeps it, most references first. Of a live domain: who holds anything of it. */
  holders: Holder[];
  stalled: Stalled[];
  /** Where counts and ledger disagree: then none of the above is to be trusted. */
  disagreements: string[];
  /** What else is worth knowing. */
  remarks: string[];
  /** What could not be found out. */
  missing: string[];
  next: string[];
}
