// SPDX-License-Identifier: Apache-2.0
//
// Which thread runs the callback of a watch event. A kernel's xenwatch policy
// says into which mailbox an event goes; each mailbox has one thread that runs
// callbacks to completion, in order (Linux xenbus_xs.c, xenwatch_thread). Beside
// the default one there may be a thread a domain (Zhang, "xenwatch
// multithreading", 2018): a callback that waits for ever stalls that domain only.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, mailboxCell, post, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { threadCell } from "../engine/thread.ts";
import { deviceOf, devicesOn } from "./device.ts";
import { kthreadRun } from "./kthread.ts";
import { printk } from "./printk.ts";
import { xenbusCell, xenbusWatchCell } from "./xenbus.ts";
import type { WatchEvent, XenbusWatch } from "./xenbus.ts";

/** An event in a mailbox. */
interface Filed {
  readonly token: string;
  readonly path: string;
}

/** A domain that has a thread of its own, by `<kernel's domid>/<domid>`. It goes with the end of its thread. */
export interface MtwatchDomain {
  /** The thread ends when it has nothing left to do; a domain that comes back keeps it. */
  retired: boolean;
  /** Whether backend devices keep the thread, and not `retired`. */
  keptByDevices: boolean;
  /** Backend devices the kernel has for the domain. */
  devices: number;
}

export const mtwatchDomainCell = cellType<MtwatchDomain>("mtwatch-domain");

/** The mailbox of the thread that every kernel has; mailbox and thread have the same name. */
function defaultMailbox(kernel: number): string {
  return `dom${kernel}/xenwatch`;
}

function domainMailbox(kernel: number, domid: number): string {
  return `dom${kernel}/xen-mtwatch-${domid}`;
}

function mailboxOf(cells: Cells, kernel: number, domid: number): string {
  const own = domid !== 0 && cells.get(mtwatchDomainCell, `${kernel}/${domid}`) !== undefined;
  return own ? domainMailbox(kernel, domid) : defaultMailbox(kernel);
}

/** The domain a path on the backends' bus names, `backend/vif/7/…`: 0 where it names none. */
function pathDomid(path: string): number {
  const [, , domid = ""] = path.split("/");
  return /^\d+$/.test(domid) ? Number(domid) : 0;
}

/** Whose event it is: `get_domid`. */
function domidOf({ getDomid }: Pick<XenbusWatch, "getDomid">, path: string): number {
  return getDomid === "path" ? pathDomid(path) : getDomid;
}

/** Mailboxes that may hold events of a watch: one where its owner is known (`get_owner`), else all. */
export function mailboxesOf(
  cells: Cells,
  kernel: number,
  { getDomid }: Pick<XenbusWatch, "getDomid">,
): string[] {
  return getDomid === "path" ? mailboxesOfKernel(cells, kernel) : [mailboxOf(cells, kernel, getDomid)];
}

/** Domains that have a thread of their own in a kernel. */
export function mtwatchDomains(cells: Cells, kernel: number): number[] {
  return cells.ids(mtwatchDomainCell).flatMap((id) => {
    const [of, domid] = (id as string).split("/").map(Number) as [number, number];
    return of === kernel ? [domid] : [];
  });
}

/** All mailboxes of a kernel. */
export function mailboxesOfKernel(cells: Cells, kernel: number): string[] {
  const { policy } = must(cells, xenbusCell, kernel);
  if (policy === "single") return [defaultMailbox(kernel)];
  return [
    defaultMailbox(kernel),
    ...mtwatchDomains(cells, kernel).map((domid) => domainMailbox(kernel, domid)),
  ];
}

/** Whether a watch takes an event (`will_handle`). */
function willHandle(watch: Readonly<XenbusWatch>, path: string): boolean {
  if (watch.onePending && watch.pending > 0) return false;
  const below = path.length - watch.node.length;
  return watch.depth === null || below <= 0 || path.slice(-below).split("/").length - 1 <= watch.depth;
}

/**
 * Files a watch event (`xs_watch_msg`): it is dropped where nobody registered
 * the token, or where the watch takes one event at a time and has one.
 */
export function xsWatchMsg(host: Host, kernel: number, token: string, path: string): void {
  const id = `${kernel}/${token}`;
  const watch = host.get(xenbusWatchCell, id);
  if (watch === undefined || !watch.registered || !willHandle(watch, path)) return;
  host.edit(xenbusWatchCell, id).pending++;
  post(host, mailboxOf(host, kernel, domidOf(watch, path)), { token, path });
}

/** Events that were filed and not taken: those of each thread oldest first. */
export function pendingEvents(cells: Cells, kernel: number): { token: string; path: string }[] {
  return mailboxesOfKernel(cells, kernel)
    .flatMap((name) => must(cells, mailboxCell, name).messages as unknown as readonly Filed[])
    .map(({ token, path }) => ({ token, path }));
}

/** Takes a watch's events out of the mailboxes: nothing is called for it any more. */
export function cancelEvents(host: Host, kernel: number, token: string): void {
  const watch = must(host, xenbusWatchCell, `${kernel}/${token}`);
  if (watch.pending === 0) return;
  for (const name of mailboxesOf(host, kernel, watch)) {
    const mailbox = host.edit(mailboxCell, name);
    mailbox.messages = mailbox.messages.filter((event) => (event as unknown as Filed).token !== token);
  }
}

/** Whether a mailbox's thread is in the middle of a callback: it holds its mutex then. */
export function inCallback(cells: Cells, mailbox: string): boolean {
  const frame = cells.get(threadCell, mailbox)?.frame ?? null;
  return frame !== null && frame.routine !== xenwatchThread.name;
}

interface XenwatchLocals {
  /** Whose kernel it is. */
  domid: number;
  mailbox: string;
  first: FirstCall | null;
  /** The domain whose thread it is; 0 for the default one. */
  of: number;
  callback: string;
  event: WatchEvent;
  failed: string;
  stop: boolean;
}

/** Whether a domain's thread may end: it is retired, or its domain has no device that would keep it. */
function mayEnd(cells: Cells, { domid, of }: Pick<XenwatchLocals, "domid" | "of">): boolean {
  if (of === 0) return false;
  const { keptByDevices, devices, retired } = must(cells, mtwatchDomainCell, `${domid}/${of}`);
  return keptByDevices ? devices === 0 : retired;
}

function takeEvent(host: Host, l: XenwatchLocals): void {
  l.callback = "";
  if (!hasMessage(host, l.mailbox)) {
    l.stop = true;
    host.drop(mailboxCell, l.mailbox);
    return host.drop(mtwatchDomainCell, `${l.domid}/${l.of}`);
  }
  if (firstOfDomain(host, l)) return;
  const { token, path } = takeMessage(host, l.mailbox) as unknown as Filed;
  const watch = host.edit(xenbusWatchCell, `${l.domid}/${token}`);
  watch.pending--;
  l.callback = watch.callback;
  l.event = { domid: l.domid, token, path, owner: watch.owner };
}

/** Where devices keep threads: the first event about a domain's devices makes its thread, which takes it. */
function firstOfDomain(host: Host, { domid: kernel, mailbox, of }: XenwatchLocals): boolean {
  if (of !== 0 || must(host, xenbusCell, kernel).policy !== "per-domain-device") return false;
  const { token, path } = must(host, mailboxCell, mailbox).messages[0] as unknown as Filed;
  const domid = domidOf(must(host, xenbusWatchCell, `${kernel}/${token}`), path);
  if (domid === 0) return false;
  createDomainThread(host, kernel, domid);
  return true;
}

/** What a restored kernel's thread was in the middle of: a routine to finish before anything else. */
export interface FirstCall {
  routine: string;
  args: object;
}

/** A mailbox's thread: takes events one by one and runs each one's callback to completion. */
const xenwatchThread = routine(
  "xenwatch_thread",
  (a: { domid: number; mailbox: string; of: number; first: FirstCall | null }): XenwatchLocals => ({
    ...a,
    callback: "",
    event: { domid: a.domid, token: "", path: "", owner: "" },
    failed: "",
    stop: false,
  }),
  ({ repeatUntil, waitFor, step, attempt, when, callNamed }) => [
    when("in the middle of something", (l) => l.first !== null, [
      callNamed(
        "watch->callback at first",
        (l) => l.first?.routine ?? "",
        (l) => l.first?.args ?? {},
      ),
    ]),
    repeatUntil("kthread_should_stop", (l) => l.stop, [
      waitFor("wait_event watch_events_waitq", (host, l) => hasMessage(host, l.mailbox) || mayEnd(host, l)),
      step("take event", takeEvent),
      when("an event", (l) => l.callback !== "", [
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
    ]),
  ],
);

/** Makes the default mailbox and starts its thread. */
export function startXenwatch(host: Host, domid: number, first: FirstCall | null): void {
  const mailbox = defaultMailbox(domid);
  addMailbox(host, mailbox);
  kthreadRun(host, domid, "xenwatch", xenwatchThread, { domid, mailbox, of: 0, first });
}

/**
 * Gives a domain a thread of its own, and the events about it that the default
 * one has not taken: their order stays. One that drains after the domain's
 * number was used before goes on: what is left of the old domain comes first.
 *
 * To be called from the default thread, which is then in no callback about that domain.
 */
export function createDomainThread(host: Host, kernel: number, domid: number): void {
  const id = `${kernel}/${domid}`;
  const old = host.get(mtwatchDomainCell, id);
  if (old?.retired === true) host.edit(mtwatchDomainCell, id).retired = false;
  if (old !== undefined) return;
  const devices = devicesOn(host, kernel, "backend").filter(
    (device) => pathDomid(deviceOf(host, device).nodename) === domid,
  ).length;
  const keptByDevices = must(host, xenbusCell, kernel).policy === "per-domain-device";
  host.add(mtwatchDomainCell, id, { retired: false, keptByDevices, devices });
  const name = domainMailbox(kernel, domid);
  addMailbox(host, name);
  const from = host.edit(mailboxCell, defaultMailbox(kernel));
  const isOurs = (message: unknown): boolean => {
    const { token, path } = message as Filed;
    return domidOf(must(host, xenbusWatchCell, `${kernel}/${token}`), path) === domid;
  };
  host.edit(mailboxCell, name).messages = from.messages.filter(isOurs);
  from.messages = from.messages.filter((message) => !isOurs(message));
  const args = { domid: kernel, mailbox: name, of: domid, first: null };
  kthreadRun(host, kernel, `xen-mtwatch-${domid}`, xenwatchThread, args);
}

/** Lets a domain's thread end, where it has one, when it has done what was filed before. */
export function retireDomainThread(host: Host, kernel: number, domid: number): void {
  const id = `${kernel}/${domid}`;
  if (host.get(mtwatchDomainCell, id)?.retired === false) host.edit(mtwatchDomainCell, id).retired = true;
}

/** Counts a backend device that the kernel has, or has no longer, for its domain. */
export function countDomainDevice(host: Host, kernel: number, nodename: string, change: 1 | -1): void {
  const id = `${kernel}/${pathDomid(nodename)}`;
  if (host.get(mtwatchDomainCell, id) !== undefined) host.edit(mtwatchDomainCell, id).devices += change;
}
