// SPDX-License-Identifier: Apache-2.0
//
// The memory balloon: the guest gives pages back to Xen, or takes some, until it
// has what `memory/target` says (Linux drivers/xen/balloon.c, xen-balloon.c).

import { present } from "../engine/errno.ts";
import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { domainCell, pagingModeTranslate } from "../hypervisor/domain.ts";
import { kthreadRun } from "../xenbus/kthread.ts";
import { registerXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusReadOptional } from "../xenbus/xs.ts";
import { balloonIn, balloonOut } from "./balloon-pages.ts";
import type { Balloon } from "./balloon-pages.ts";
import { guestPrintk } from "./console.ts";

/** How long the balloon rests after Xen refused it pages, in µs. */
const RETRY_US = 1_000_000;

export const balloonCell = cellType<Balloon>("balloon");

/** Sets the target, in KiB. At first a translated guest learns what the target counts beside its own pages. */
function setNewTarget(host: Host, domid: number, target: string, staticMax: string | null): void {
  const balloon = host.edit(balloonCell, domid);
  const pages = (kib: string): number => Math.floor(Number.parseInt(kib, 10) / 4);
  if (staticMax !== null && pagingModeTranslate(must(host, domainCell, domid))) {
    balloon.targetDiff = pages(staticMax) - balloon.targetPages;
  }
  balloon.targetPages = pages(target) - balloon.targetDiff;
}

/** The callback of the watch on `memory/target`. */
export const watchTarget = routine(
  "watch_target",
  (a: WatchEvent) => ({
    domid: a.domid,
    target: null as string | null,
    staticMax: null as string | null,
    first: false,
  }),
  ({ step, call, when }) => [
    call(
      "xenbus_scanf",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: "memory", name: "target" }),
      (l, value) => {
        l.target = value;
      },
    ),
    when("a number", (l) => l.target !== null && /^\d+/.test(l.target), [
      step("watch_fired", (host, l) => {
        l.first = !must(host, balloonCell, l.domid).watchFired;
        if (l.first) host.edit(balloonCell, l.domid).watchFired = true;
      }),
      when("first", (l) => l.first, [
        call(
          "static-max",
          xenbusReadOptional,
          (l) => ({ domid: l.domid, dir: "memory", name: "static-max" }),
          (l, value) => {
            l.staticMax = value;
          },
        ),
      ]),
      step("balloon_set_new_target", (host, l) =>
        setNewTarget(host, l.domid, present(l.target), l.first ? (l.staticMax ?? l.target) : null),
      ),
    ]),
  ],
);

/** Moves one batch of pages; true where Xen refused. */
function balloonProcess(host: Host, domid: number): boolean {
  const { currentPages, targetPages } = must(host, balloonCell, domid);
  const balloon = host.edit(balloonCell, domid);
  return currentPages > targetPages
    ? balloonOut(host, domid, balloon, currentPages - targetPages)
    : balloonIn(host, domid, balloon, targetPages - currentPages);
}

/** The balloon's thread. Xen may refuse pages: it then tries again every second. */
const balloonThread = routine(
  "balloon_thread",
  (a: { domid: number }) => ({ ...a, refused: false }),
  ({ forever, waitFor, step, when, sleep }) => [
    forever("for (;;)", [
      waitFor("wait_event balloon_thread_wq", (host, l) => {
        const balloon = host.get(balloonCell, l.domid);
        return balloon !== undefined && balloon.currentPages !== balloon.targetPages;
      }),
      step("balloon_process", (host, l) => {
        l.refused = balloonProcess(host, l.domid);
      }),
      when("BP_EAGAIN", (l) => l.refused, [sleep("retry_count", () => RETRY_US)]),
    ]),
  ],
);

/** Runs a balloon that counts what it is given. */
export function runBalloon(host: Host, domid: number, balloon: Balloon): void {
  host.add(balloonCell, domid, balloon);
  kthreadRun(host, domid, "xen-balloon", balloonThread, { domid });
}

/** Starts the balloon of a kernel that has so many pages. */
export function startBalloon(host: Host, domid: number, pages: number): void {
  runBalloon(host, domid, {
    currentPages: pages,
    targetPages: pages,
    targetDiff: 0,
    ballooned: [],
    watchFired: false,
  });
}

/** Pages the balloon is to give the kernel, or to take from it where negative (current_credit). */
function currentCredit(cells: Cells, domid: number): number {
  const { currentPages, targetPages } = must(cells, balloonCell, domid);
  return targetPages - currentPages;
}

/**
 * Waits, as the last thing before user space, until the kernel of a translated domain has
 * given back what it is not to have: it might use more else than is there for it.
 */
export const balloonWaitFinish = routine(
  "balloon_wait_finish",
  (a: { domid: number }) => ({ ...a, credit: 0 }),
  ({ call, step, when, waitFor }) => [
    step("current_credit", (host, l) => void (l.credit = currentCredit(host, l.domid))),
    when("has too much", (l) => l.credit < 0, [
      call("pr_notice", guestPrintk, ({ domid }) => ({
        domid,
        line: "xen:balloon: Waiting for initial ballooning down having finished.",
      })),
      waitFor("schedule_timeout_interruptible", (host, l) => currentCredit(host, l.domid) >= 0),
      call("pr_notice finished", guestPrintk, ({ domid }) => ({
        domid,
        line: "xen:balloon: Initial ballooning down finished.",
      })),
    ]),
  ],
);

/** Watches `memory/target`. */
export const balloonInitWatcher = routine(
  "balloon_init_watcher",
  (a: { domid: number }) => ({ ...a }),
  ({ call }) => [
    call("register_xenbus_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: "memory/target",
      token: "target_watch",
      callback: watchTarget.name,
    })),
  ],
);
