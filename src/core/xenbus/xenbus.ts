// SPDX-License-Identifier: Apache-2.0
//
// A kernel's side of xenstore as data: the ring it talks over, the requests it
// waits for, the watches it registered. Every kernel has one, dom0's and the
// guests' alike (Linux drivers/xen/xenbus). Cells are keyed by the kernel's domid.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import type { Header } from "./dev-file.ts";
import { listAppend, listItems, listRemove, listType } from "../xenstore/list.ts";

/**
 * How dom0's kernel spreads watch events over threads. `single`: one thread for
 * all, what Linux does. The others give each domain a thread of its own, and
 * differ in how long it lives: `per-domain` from `@introduceDomain` to the
 * `@releaseDomain` after which the domain is no longer in `/local/domain`;
 * `per-domain-parent` as long as it is there, told by a watch on that node alone;
 * `per-domain-device` from the domain's first backend device to its last.
 */
export const xenwatchPolicies = ["single", "per-domain", "per-domain-parent", "per-domain-device"] as const;

export type XenwatchPolicy = (typeof xenwatchPolicies)[number];

/** The kernel's connection: `xen_store_interface` and `xen_store_evtchn`. */
export interface Xenbus {
  /** Machine frame of the page shared with xenstored. */
  mfn: number;
  /** The kernel's own end of the event channel. */
  port: number;
  policy: XenwatchPolicy;
  /** Between `xs_suspend` and `xs_resume` (`xs_suspend_active`): nobody new talks to xenstore. */
  suspended: boolean;
  /** Requests and transactions under way (`xs_state_users`): suspending waits until there are none. */
  users: number;
  /** `system_state`: once it is not "running", drivers are no longer told of the other end's states. */
  systemState: "running" | "halt" | "reboot";
  /** Modules whose drivers are registered, in the order they were loaded. */
  modules: string[];
}

export const xenbusCell = cellType<Xenbus>("xenbus");

/** What is under way on the ring: requests to send, requests that were sent, the start of a message. */
export interface XenbusQueue {
  /** Ids of all requests under way. */
  requests: number[];
  /** `xb_write_list`: request ids, oldest first. The first one may be half written. */
  writes: number[];
  /** Bytes of the first request that are in the ring already. */
  written: number;
  /** The ring had no room for the rest: nothing is written before xenstored has taken some. */
  full: boolean;
  /** Received bytes that do not make a whole message yet. */
  incoming: Uint8Array;
}

export const xenbusQueueCell = cellType<XenbusQueue>("xenbus-queue");

/** One request of a kernel thread (`struct xb_req_data`), by `<domid>/<request id>`. */
export interface XenbusRequest {
  /** The whole message, header and payload. */
  message: Uint8Array;
  state: "queued" | "wait_reply" | "got_reply";
  /** The reply's body as a latin1 string, or the error xenstored answered with. */
  reply: string;
  errno: Errno | null;
  /** Where it comes from a process (`user_req`): its file, and the header as it wrote it. */
  file: { name: string; asked: Header } | null;
}

export const xenbusRequestCell = cellType<XenbusRequest>("xenbus-request");

/** A registered watch (`struct xenbus_watch`), by `<domid>/<token>`. */
export interface XenbusWatch {
  node: string;
  token: string;
  /** The routine that is called for an event, with `WatchEvent` as its argument. */
  callback: string;
  /** What the callback acts for: a device's identifier, or "" for the kernel itself. */
  owner: string;
  /**
   * Whose events they are (`get_domid`, and `get_owner` where it is a number): a
   * domain's, nobody's in particular (0), or, for a watch on a shared path, that
   * of the domain each event's path names.
   */
  getDomid: number | "path";
  /** Levels below the node of which events are taken; null for all. */
  depth: number | null;
  /** In the kernel's list: `find_watch` finds it. Not so while it is being taken back. */
  registered: boolean;
  /** Events in mailboxes that were not taken yet: `nr_pending`. */
  pending: number;
  /** Where it is in the kernel's list of watches. */
  chunk: number;
  /** Takes at most one pending event at a time (XSA-349, `will_handle`). */
  onePending: boolean;
}

export const xenbusWatchCell = cellType<XenbusWatch>("xenbus-watch");

const watchList = listType("xenbus-watches", { listed: false });

/** Adds a watch to a kernel's: the newest. */
export function addWatch(
  cells: Cells,
  domid: number,
  watch: Omit<XenbusWatch, "chunk" | "pending" | "registered">,
): void {
  const chunk = listAppend(cells, watchList, String(domid), watch.token);
  cells.add(xenbusWatchCell, `${domid}/${watch.token}`, { ...watch, chunk, pending: 0, registered: true });
}

/** Takes a watch out of a kernel's list: no event is filed for it any more, those filed are still there. */
export function unlistWatch(cells: Cells, domid: number, token: string): void {
  const watch = cells.edit(xenbusWatchCell, `${domid}/${token}`);
  listRemove(cells, watchList, String(domid), watch.chunk, token);
  watch.registered = false;
}

/** Forgets a watch, of which no event may be filed. */
export function dropWatch(cells: Cells, domid: number, token: string): void {
  if (must(cells, xenbusWatchCell, `${domid}/${token}`).registered) unlistWatch(cells, domid, token);
  cells.drop(xenbusWatchCell, `${domid}/${token}`);
}

/** Tokens of a kernel's watches, newest first: the order in which `xs_resume` sets them again. */
export function watchTokens(cells: Cells, domid: number): string[] {
  return listItems(cells, watchList, String(domid)).toReversed();
}

/** What a watch's callback is called with. */
export interface WatchEvent {
  domid: number;
  token: string;
  path: string;
  owner: string;
}

/**
 * Whether xenstore can be talked to now: not between suspend and resume, but for as long as somebody still
 * does whom suspending waits for (xs_request_enter).
 */
export function xenbusRunning(cells: Cells, domid: number): boolean {
  const { suspended, users } = must(cells, xenbusCell, domid);
  return !suspended || users > 0;
}

/** Whether that kernel is not about to halt or to reboot. */
export function systemRunning(cells: Cells, domid: number): boolean {
  return must(cells, xenbusCell, domid).systemState === "running";
}
