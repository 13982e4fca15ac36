// SPDX-License-Identifier: Apache-2.0
//
// Every reference has an owner: beside each count that Xen keeps, who took the
// references it consists of. A ledger is provenance: nothing decides by it.

import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { ReferenceKind } from "./reference-kinds.ts";

/** References of one kind that one holder has. */
export interface LedgerEntry {
  /** "xen", "d0/xenstored", "d3" */
  holder: string;
  kind: ReferenceKind;
  count: number;
  /** How many of them are type references too; 0 in a domain's ledger. */
  typed: number;
  /** The operation that took the first of them, in which step of the trace, and when (µs). */
  op: string;
  step: number;
  at: number;
}

/** Who takes a reference, as what, in which operation. */
export interface Holder<K extends ReferenceKind = ReferenceKind> {
  readonly holder: string;
  readonly kind: K;
  readonly op: string;
}

/** Enters references that were just taken. */
export function credit(
  host: Host,
  ledger: LedgerEntry[],
  { holder, kind, op }: Holder,
  count: number,
  typed: number,
): void {
  const entry = ledger.find((e) => e.holder === holder && e.kind === kind);
  if (entry === undefined) ledger.push({ holder, kind, count, typed, op, step: host.step, at: host.now });
  else {
    entry.count += count;
    entry.typed += typed;
  }
}

/** Strikes references that were just dropped. The holder must have them. */
export function debit(
  ledger: LedgerEntry[],
  holder: string,
  kind: ReferenceKind,
  count: number,
  typed: number,
): void {
  const at = ledger.findIndex((e) => e.holder === holder && e.kind === kind);
  const entry = ledger[at];
  assert(
    entry !== undefined && entry.count >= count && entry.typed >= typed,
    `${holder} drops a ${kind} reference it does not have`,
  );
  entry.count -= count;
  entry.typed -= typed;
  if (entry.count === 0 && entry.typed === 0) ledger.splice(at, 1);
}
