// SPDX-License-Identifier: Apache-2.0
//
// A domain's ring as xenstored serves it: requests one at a time, each taken from
// the ring only when it is its turn, and replies and events as far as there is
// room (handle_input and handle_output in xenstored_core.c, readchn and writechn
// in xenstored_domain.c).

import { isFailure } from "../engine/errno.ts";
import { connectionType, featuresOf, inputWanted, isAmidMessage } from "./connection.ts";
import { ignoreConnection, restartConnection, XENSTORE_ERROR_RINGIDX } from "./domain.ts";
import { outputLength, takeOutput } from "./output.ts";
import type { Store } from "./ports.ts";
import { receive } from "./receive.ts";
import {
  connectionState,
  refillRing,
  type RingPage,
  serverHasRequests,
  serverRead,
  serverRoom,
  serverWrite,
  XENSTORE_CONNECTED,
} from "./ring.ts";
import { mayRead } from "./store.ts";
import { FEATURE_RECONNECTION } from "./version.ts";
import { writeRateDeadline } from "./write-rate.ts";

/** A mapped ring. */
export interface Ring {
  readonly page: RingPage;
  /** Raises the domain's event channel. */
  notify(): void;
}

/**
 * Serves one request, as much of it as is there, and sends what there is room
 * for. Returns whether more could be done at once: others have their turn first.
 */
export function serveRing(store: Store, domid: number, ring: Ring): boolean {
  if (asksToReconnect(store, domid, ring)) {
    restartConnection(store, domid);
    refillRing(ring.page);
    ring.notify();
    return false;
  }
  writeRateDeadline(store, domid);
  readRequest(store, domid, ring);
  flushRing(store, domid, ring);
  return hasRequest(store, domid, ring);
}

/** Whether there is a request, or what cannot be one, and nothing forbids to read it. */
export function hasRequest(store: Store, domid: number, { page }: Ring): boolean {
  return mayRead(store.cells, domid) && serverHasRequests(page);
}

/**
 * A domain asks for its connection to start afresh by itself, where that is
 * offered (docs/misc/xenstore-ring.txt); C xenstored offers it only by INTRODUCE.
 */
function asksToReconnect({ cells }: Store, domid: number, { page }: Ring): boolean {
  const connection = cells.get(connectionType, domid);
  if (connection === undefined || connection.ignored) return false;
  const offered = (featuresOf(cells, domid) & FEATURE_RECONNECTION) !== 0;
  return offered && connectionState(page) !== XENSTORE_CONNECTED;
}

/** Reads up to the end of one message: first its header, then as much as that says. */
function readRequest(store: Store, domid: number, ring: Ring): void {
  const { cells } = store;
  let taken = false;
  while (hasRequest(store, domid, ring)) {
    const bytes = serverRead(ring.page, inputWanted(cells, domid));
    if (isFailure(bytes)) {
      ignoreConnection(store, domid, XENSTORE_ERROR_RINGIDX);
      break;
    }
    taken ||= bytes.length > 0;
    receive(store, domid, bytes);
    if (!isAmidMessage(cells, domid)) break;
  }
  if (taken) ring.notify();
}

/** Sends what a domain has to take, as far as its ring has room. */
export function flushRing(store: Store, domid: number, ring: Ring): void {
  const waiting = outputLength(store.cells, domid);
  if (waiting === 0) return;
  const room = serverRoom(ring.page);
  if (isFailure(room)) return ignoreConnection(store, domid, XENSTORE_ERROR_RINGIDX);
  const bytes = new Uint8Array(Math.min(room, waiting));
  const count = takeOutput(store, domid, bytes, 0, bytes.length);
  if (count === 0) return;
  serverWrite(ring.page, bytes.subarray(0, count));
  ring.notify();
}
