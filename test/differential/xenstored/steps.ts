// SPDX-License-Identifier: Apache-2.0
//
// What a sequence is made of: requests of several connections, one after the
// other, and what happens around them. Plain data, so that a failing one can be
// shrunk, printed and kept.

import { type RequestName } from "../../../src/core/xenstore/test-client.ts";
import { XS } from "../../../src/core/xenstore/wire.ts";

/** Connections of a sequence: sockets first, then the rings of domains 1, 2, 3. */
export const SOCKETS = 3;
export const DOMAINS = [1, 2, 3] as const;
export const CONNECTIONS = SOCKETS + DOMAINS.length;
/** The connection that prepares and cleans up: a socket of its own. */
export const ADMIN = 31;
/** Transactions a connection can have under way, by slot. */
export const TRANSACTIONS = 3;

/** A request; waits for its reply. */
export interface RequestStep {
  readonly do: "request";
  /** Which connection. */
  readonly who: number;
  /** The type's name, or its number where it has none. */
  readonly type: RequestName | number;
  /** Payload as a latin1 string. */
  readonly body: string;
  /**
   * The transaction: none, one of the connection's by slot, or an identifier as it
   * is. For TRANSACTION_START the slot is where the new one goes.
   */
  readonly tx?: { readonly slot: number } | { readonly id: number };
}

export type Step =
  | RequestStep
  /** A socket is closed and opened again. */
  | { readonly do: "reconnect"; readonly who: number }
  /** RELEASE by the toolstack. */
  | { readonly do: "release"; readonly domid: number }
  /** INTRODUCE by the toolstack. */
  | { readonly do: "introduce"; readonly domid: number }
  /** What the hypervisor says of a domain changes, and VIRQ_DOM_EXC comes. */
  | { readonly do: "domain"; readonly domid: number; readonly state: DomainState };

/** As xenstub.c has them. */
export const domainStates = { absent: 0, running: 1, shutdown: 2, dying: 3 } as const;
export type DomainState = keyof typeof domainStates;

/** A sequence, and the limits of unprivileged domains while it runs. */
export interface Sequence {
  readonly steps: readonly Step[];
  /** `CONTROL quota set` at its start. */
  readonly limits?: Readonly<Record<string, number>>;
}

/** The connection of a domain that has one. */
export function ringOf(domid: number): number | undefined {
  const index = DOMAINS.findIndex((known) => known === domid);
  return index < 0 ? undefined : SOCKETS + index;
}

/** The number of a request's type. */
export function typeNumber(type: RequestName | number): number {
  return typeof type === "number" ? type : XS[type];
}

/** A request, for tables: `|` in the body stands for NUL. */
export function ask(who: number, type: RequestName | number, body: string, slot?: number): RequestStep {
  const step = { do: "request", who, type, body: body.replaceAll("|", "\0") } as const;
  return slot === undefined ? step : { ...step, tx: { slot } };
}

/** A step in words. */
export function describeStep(step: Step): string {
  if (step.do !== "request") {
    const { do: what, ...rest } = step;
    return `${what} ${Object.values(rest).join(" ")}`;
  }
  const tx = step.tx === undefined ? "" : "slot" in step.tx ? ` in t${step.tx.slot}` : ` in #${step.tx.id}`;
  return `${whoName(step.who)} ${step.type} ${showBody(step.body)}${tx}`;
}

/** A connection in words. */
export function whoName(who: number): string {
  if (who === ADMIN) return "admin";
  return who < SOCKETS ? `socket${who}` : `dom${DOMAINS[who - SOCKETS]}`;
}

/** A payload on one line, long ones cut. */
export function showBody(body: string): string {
  const text = body.length > 200 ? `${body.slice(0, 90)}…(${body.length})…${body.slice(-40)}` : body;
  return JSON.stringify(text.replaceAll("\0", "|"));
}
