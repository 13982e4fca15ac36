// SPDX-License-Identifier: Apache-2.0
//
// Requests of unprivileged domains that brought events to others. Such a request
// is outstanding until its reply and all those events are taken, so that nobody
// can fill other connections' queues beyond its share (free_buffered_data in
// xenstored_core.c; XSA-326).

import { type Cells, cellType } from "../engine/cells.ts";
import { incarnationOf } from "./perms.ts";
import { charge } from "./quota.ts";

/** One of those requests: a domain's slot. */
export interface RequestRef {
  readonly domid: number;
  /** Of the domain that asked: a later one with its domid has nothing to do with it. */
  readonly incarnation: number;
  readonly slot: number;
}

interface Pending {
  /** Events not yet taken. */
  events: number;
  /** The reply is taken. */
  replied: boolean;
}
/** A domain's requests, by domid; null for a free slot. There is no cell where all are free. */
const pendingType = cellType<{ incarnation: number; slots: (Pending | null)[] }>("xenstore-pending-requests");

/** The request a xenstored is answering: who asked, and its slot once it has brought an event. */
export interface CurrentRequest {
  readonly domid: number;
  ref: RequestRef | null;
}

/** The request that is being answered brings an event. */
export function eventQueued(cells: Cells, request: CurrentRequest): RequestRef {
  const { domid } = request;
  if (request.ref !== null) {
    pendingOf(cells, request.ref).events++;
    return request.ref;
  }
  const incarnation = incarnationOf(cells, domid);
  const known = cells.get(pendingType, domid);
  if (known === undefined) cells.add(pendingType, domid, { incarnation, slots: [] });
  const { slots } = cells.edit(pendingType, domid);
  const free = slots.indexOf(null);
  const slot = free < 0 ? slots.length : free;
  slots[slot] = { events: 1, replied: false };
  request.ref = { domid, incarnation, slot };
  return request.ref;
}

function pendingOf(cells: Cells, { domid, slot }: RequestRef): Pending {
  return cells.edit(pendingType, domid).slots[slot] as Pending;
}

/** Whether the domain that made the request is still the one with its domid. */
function isCurrent(cells: Cells, { domid, incarnation }: RequestRef): boolean {
  return cells.get(pendingType, domid)?.incarnation === incarnation;
}

/** An event of a request is taken, or dropped. Returns whether the request is not outstanding any more. */
export function eventTaken(cells: Cells, ref: RequestRef): boolean {
  if (!isCurrent(cells, ref)) return false;
  const pending = pendingOf(cells, ref);
  pending.events--;
  if (pending.events > 0 || !pending.replied) return false;
  charge(cells, ref.domid, "outstanding", -1);
  free(cells, ref);
  return true;
}

/** The reply to a request is taken, or dropped: it stays outstanding where events are left. */
export function replyTaken(cells: Cells, domid: number, ref: RequestRef | null): void {
  if (ref !== null && isCurrent(cells, ref)) {
    const pending = pendingOf(cells, ref);
    if (pending.events > 0) {
      pending.replied = true;
      return;
    }
    free(cells, ref);
  }
  charge(cells, domid, "outstanding", -1);
}

function free(cells: Cells, { domid, slot }: RequestRef): void {
  const { slots } = cells.edit(pendingType, domid);
  slots[slot] = null;
  while (slots.length > 0 && slots.at(-1) === null) slots.pop();
  if (slots.length === 0) cells.drop(pendingType, domid);
}

/** A domain is gone. */
export function dropPending(cells: Cells, domid: number): void {
  if (cells.get(pendingType, domid) !== undefined) cells.drop(pendingType, domid);
}
