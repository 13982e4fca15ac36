// SPDX-License-Identifier: Apache-2.0
//
// What a kernel does about `control/shutdown` and `control/sysrq` (Linux
// drivers/xen/manage.c): it reads the request and acknowledges it by emptying
// the node, both in one transaction, and then acts.

import { readFile } from "../daemons/files.ts";
import { errnoNumber, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import type { Routine } from "../engine/routine.ts";
import { hasEnded } from "../engine/thread.ts";
import { kthreadRun } from "../xenbus/kthread.ts";
import { printk } from "../xenbus/printk.ts";
import { registerXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { systemRunning } from "../xenbus/xenbus.ts";
import {
  xenbusPrintf,
  xenbusReadOptional,
  xenbusTransactionEnd,
  xenbusTransactionStart,
} from "../xenbus/xs.ts";
import { guestCell } from "./guest.ts";
import { guestCrash, kernelDown } from "./reboot.ts";
import { doSuspend } from "./suspend.ts";

/** Requests the kernel acts on, and those of them it advertises as `control/feature-…`. */
const handlers = ["poweroff", "halt", "reboot", "suspend"] as const;
const features = ["poweroff", "reboot", "suspend"];

type Request = (typeof handlers)[number];

interface ReadLocals {
  domid: number;
  name: string;
  known: readonly string[] | null;
  tx: number;
  value: string;
  isThere: boolean;
  acknowledge: boolean;
  done: boolean;
}

/**
 * Reads a control node and empties it, in one transaction that is tried again
 * after a conflict. A request that is empty, missing or, where `known` says so,
 * not known is left alone. Gives the request, "" for none, null where there is no such node.
 */
const takeRequest = routine(
  "take_control_request",
  (a: { domid: number; name: string; known: readonly string[] | null }): ReadLocals => ({
    ...a,
    tx: 0,
    value: "",
    isThere: false,
    acknowledge: false,
    done: false,
  }),
  ({ call, when, repeatUntil }) => [
    repeatUntil("again", (l) => l.done, [
      call(
        "xenbus_transaction_start",
        xenbusTransactionStart,
        (l) => ({ domid: l.domid }),
        (l, tx) => {
          l.tx = tx;
        },
      ),
      call(
        "xenbus_read",
        xenbusReadOptional,
        (l) => ({ domid: l.domid, tx: l.tx, dir: "control", name: l.name }),
        (l, value) => {
          l.value = value ?? "";
          l.isThere = value !== null;
          l.acknowledge = l.value !== "" && (l.known?.includes(l.value) ?? true);
        },
      ),
      when("a request", (l) => l.acknowledge, [
        call("xenbus_write", xenbusPrintf, (l) => ({
          domid: l.domid,
          tx: l.tx,
          dir: "control",
          name: l.name,
          value: "",
        })),
      ]),
      call(
        "xenbus_transaction_end",
        xenbusTransactionEnd,
        (l) => ({ domid: l.domid, tx: l.tx, abort: l.value === "" }),
        (l, again) => {
          l.done = !again;
        },
      ),
    ]),
  ],
  (l) => (l.isThere ? l.value : null),
);

type How = "halt" | "restart";

/** From the kernel's wish to the system call: a process has to be started for it, in µs. */
const USERMODE_HELPER_US = 100_000;

const commands: { readonly [how in How]: string } = { halt: "/sbin/poweroff", restart: "/sbin/reboot" };

/**
 * Has user space end the system (run_cmd in Linux kernel/reboot.c). dom0's has the
 * command if there is such a file; without it nothing happens, as in the recordings.
 */
const runCmd = routine(
  "run_cmd",
  (a: { domid: number; how: How }) => ({ ...a, found: false }),
  ({ step, when, sleep, call }) => [
    step("call_usermodehelper", (host, l) => {
      l.found = l.domid !== 0 || !isFailure(readFile(host, commands[l.how]));
    }),
    when("there is the command", (l) => l.found, [
      sleep("exec", () => USERMODE_HELPER_US),
      call("sys_reboot", kernelDown, (l) => ({ domid: l.domid, how: l.how })),
    ]),
  ],
);

/** Starts what ends the system, unless that is under way: a work item that waits is queued once (schedule_work). */
function startOnce<A extends object>(
  host: Host,
  domid: number,
  name: string,
  threadfn: Routine<A, unknown>,
  args: A,
): void {
  if (hasEnded(host, `dom${domid}/${name}`)) kthreadRun(host, domid, name, threadfn, args);
}

/** What user space does on the kernel's behalf runs beside xenwatch: orderly_poweroff, orderly_reboot. */
function orderlyDown(host: Host, domid: number, how: How): void {
  if (!systemRunning(host, domid)) return;
  startOnce(host, domid, how === "halt" ? "poweroff" : "reboot", runCmd, { domid, how });
}

/** Ends the system without asking user space. */
function emergencyDown(host: Host, domid: number, how: How): void {
  if (!systemRunning(host, domid)) return;
  startOnce(host, domid, how === "halt" ? "poweroff" : "reboot", kernelDown, { domid, how });
}

/** Whether the kernel looks at no request: from one to reboot on, and when it has begun to go down (poweroff_nb). */
function isShuttingDown(host: Host, domid: number): boolean {
  return (host.get(guestCell, domid)?.shuttingDown ?? "invalid") !== "invalid" || !systemRunning(host, domid);
}

/** The handler of `reboot`. */
function doReboot(host: Host, domid: number): void {
  if (host.get(guestCell, domid) !== undefined) host.edit(guestCell, domid).shuttingDown = "poweroff";
  orderlyDown(host, domid, "restart");
}

/** The callback of the watch on `control/shutdown`. */
export const shutdownHandler = routine(
  "shutdown_handler",
  (a: WatchEvent) => ({ domid: a.domid, busy: false, request: "" as Request | "" }),
  ({ step, call, when }) => [
    step("shutting_down", (host, l) => {
      l.busy = isShuttingDown(host, l.domid);
    }),
    when("not shutting down", (l) => !l.busy, [
      call(
        "take request",
        takeRequest,
        (l) => ({ domid: l.domid, name: "shutdown", known: handlers }),
        (l, request) => {
          l.request = (request ?? "") as Request | "";
        },
      ),
      when("suspend", (l) => l.request === "suspend", [
        call("do_suspend", doSuspend, (l) => ({ domid: l.domid })),
      ]),
      when("another request", (l) => l.request !== "suspend" && l.request !== "", [
        step("handler", (host, l) => {
          if (l.request === "reboot") doReboot(host, l.domid);
          else if (l.request === "poweroff" || l.request === "halt") orderlyDown(host, l.domid, "halt");
          else printk(host, l.domid, `xen:manage: Ignoring shutdown request: ${l.request}`);
        }),
      ]),
    ]),
  ],
);

/** Magic keys: what a kernel does about the first character of `control/sysrq`. */
function handleSysrq(host: Host, domid: number, key: string): void {
  switch (key) {
    case "o":
      return emergencyDown(host, domid, "halt");
    case "b":
      return emergencyDown(host, domid, "restart");
    case "c":
      return startOnce(host, domid, "sysrq", guestCrash, { domid, why: "sysrq triggered crash" });
    default:
      printk(host, domid, "sysrq: HELP : loglevel(0-9) reboot(b) crash(c) poweroff(o) sync(s) unmount(u)");
  }
}

/** The callback of the watch on `control/sysrq`. */
export const sysrqHandler = routine(
  "sysrq_handler",
  (a: WatchEvent) => ({ domid: a.domid, key: "", isEmpty: false }),
  ({ step, call, when }) => [
    call(
      "take request",
      takeRequest,
      (l) => ({ domid: l.domid, name: "sysrq", known: null }),
      (l, value) => {
        l.key = value?.slice(0, 1) ?? "";
        l.isEmpty = value === "";
      },
    ),
    // As the toolstack makes it, and as the handler leaves it: there is no character to scan.
    when("no key", (l) => l.isEmpty, [
      step("pr_err", (host, l) => {
        printk(
          host,
          l.domid,
          `xen:manage: Error ${-errnoNumber("ERANGE")} reading sysrq code in control/sysrq`,
        );
      }),
    ]),
    when("a key", (l) => l.key !== "", [
      step("handle_sysrq", (host, l) => handleSysrq(host, l.domid, l.key)),
    ]),
  ],
);

/** Watches the control nodes and says what the kernel can do. */
export const setupShutdownWatcher = routine(
  "setup_shutdown_watcher",
  (a: { domid: number }) => ({ ...a, feature: "" }),
  ({ call, each }) => [
    call("shutdown_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: "control/shutdown",
      token: "shutdown_watch",
      callback: shutdownHandler.name,
    })),
    call("sysrq_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: "control/sysrq",
      token: "sysrq_watch",
      callback: sysrqHandler.name,
    })),
    each(
      "shutdown_handlers",
      () => features,
      (l, feature) => {
        l.feature = feature;
      },
      [
        call("xenbus_printf", xenbusPrintf, (l) => ({
          domid: l.domid,
          dir: "control",
          name: `feature-${l.feature}`,
          value: "1",
        })),
      ],
    ),
  ],
);
