// SPDX-License-Identifier: Apache-2.0
//
// Which thread runs the callback of a watch event. A kernel's xenwatch policy
// says into which mailbox an event goes; each mailbox has one thread that runs
// callbacks to completion, in order (Linux xenbus_xs.c, xenwatch_thread).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, mailboxCell, post, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { kthreadRun } from "./kthread.ts";
import { printk } from "./printk.ts";
import { xenbusCell, xenbusWatchCell } from "./xenbus.ts";
import type { WatchEvent, XenbusWatch } from "./xenbus.ts";

/** An event in a mailbox. */
interface Filed {
  readonly token: string;
  readonly path: string;
}

/** The mailbox of the thread that every kernel has. */
function defaultMailbox(domid: number): string {
  return `dom${domid}/xenwatch`;
}

/** The mailbox an event belongs into, by the kernel's policy. */
function mailboxFor(cells: Cells, domid: number, _watch: XenbusWatch, _path: string): string {
  const { policy } = must(cells, xenbusCell, domid);
  switch (policy) {
    case "single":
      return defaultMailbox(domid);
  }
}

/** Mailboxes that may hold events of a watch: what its unregistration has to go through. */
function mailboxesOf(cells: Cells, domid: number, _watch: XenbusWatch): string[] {
  const { policy } = must(cells, xenbusCell, domid);
  switch (policy) {
    case "single":
      return [defaultMailbox(domid)];
  }
}

/** All mailboxes of a kernel. */
export function mailboxesOfKernel(cells: Cells, domid: number): string[] {
  const { policy } = must(cells, xenbusCell, domid);
  switch (policy) {
    case "single":
      return [defaultMailbox(domid)];
  }
}

/**
 * Files a watch event (`xs_watch_msg`): it is dropped where nobody registered
 * the token, or where the watch takes one event at a time and has one.
 */
export function xsWatchMsg(host: Host, domid: number, token: string, path: string): void {
  const id = `${domid}/${token}`;
  const watch = host.get(xenbusWatchCell, id);
  if (watch === undefined || (watch.onePending && watch.pending > 0)) return;
  host.edit(xenbusWatchCell, id).pending++;
  const mailbox = mailboxFor(host, domid, watch, path);
  post(host, mailbox, { token, path });
}

/** Events that were filed and not taken, oldest first. */
export function pendingEvents(cells: Cells, domid: number): { token: string; path: string }[] {
  return mailboxesOfKernel(cells, domid)
    .flatMap((name) => must(cells, mailboxCell, name).messages as unknown as readonly Filed[])
    .map(({ token, path }) => ({ token, path }));
}

/** Takes a watch's events out of the mailboxes: nothing is called for it any more. */
export function cancelEvents(host: Host, domid: number, token: string): void {
  const watch = must(host, xenbusWatchCell, `${domid}/${token}`);
  if (watch.pending === 0) return;
  for (const name of mailboxesOf(host, domid, watch)) {
    const mailbox = host.edit(mailboxCell, name);
    mailbox.messages = mailbox.messages.filter((event) => (event as unknown as Filed).token !== token);
  }
}

function takeEvent(
  host: Host,
  l: { domid: number; mailbox: string; callback: string; event: WatchEvent },
): void {
  const { token, path } = takeMessage(host, l.mailbox) as unknown as Filed;
  const watch = host.edit(xenbusWatchCell, `${l.domid}/${token}`);
  watch.pending--;
  l.callback = watch.callback;
  l.event = { domid: l.domid, token, path, owner: watch.owner };
}

/** What a restored kernel's thread was in the middle of: a routine to finish before anything else. */
export interface FirstCall {
  routine: string;
  args: object;
}

/** A mailbox's thread: takes events one by one and runs each one's callback to completion. */
const xenwatchThread = routine(
  "xenwatch_thread",
  (a: { domid: number; mailbox: string; first: FirstCall | null }) => ({
    ...a,
    callback: "",
    event: { domid: a.domid, token: "", path: "", owner: "" },
    failed: "",
  }),
  ({ forever, waitFor, step, attempt, when, callNamed }) => [
    when("in the middle of something", (l) => l.first !== null, [
      callNamed(
        "watch->callback at first",
        (l) => l.first?.routine ?? "",
        (l) => l.first?.args ?? {},
      ),
    ]),
    forever("for (;;)", [
      waitFor("wait_event watch_events_waitq", (host, l) => hasMessage(host, l.mailbox)),
      step("take event", takeEvent),
      attempt([
        callNamed(
          "watch->callback",
          (l) => l.callback,
          (l) => l.event,
        ),
      ]).onError(
        (l, errno) => {
          l.failed = errno;
        },
        [
          step("callback failed", (host, l) =>
            printk(host, l.domid, `xenbus: ${l.callback} ${l.event.path}: ${l.failed}`),
          ),
        ],
      ),
    ]),
  ],
);

/** Makes the kernel's mailboxes and starts their threads, as its policy wants them. */
export function startXenwatch(host: Host, domid: number, first: FirstCall | null): void {
  const mailbox = defaultMailbox(domid);
  addMailbox(host, mailbox);
  kthreadRun(host, domid, "xenwatch", xenwatchThread, { domid, mailbox, first });
}
