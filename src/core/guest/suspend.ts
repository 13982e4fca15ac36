// SPDX-License-Identifier: Apache-2.0
//
// Suspending, and going on: in the same domain, or in another one that was
// restored from the saved memory (Linux drivers/xen/manage.c, xenbus_xs.c).

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { ShutdownCode } from "../hypervisor/domain.ts";
import { schedopShutdown } from "../hypervisor/sched-op.ts";
import { xenbusProbeNode } from "../xenbus/bus.ts";
import { xsRewatch } from "../xenbus/watch.ts";
import { watchTokens, xenbusCell } from "../xenbus/xenbus.ts";
import { startKernel } from "./early.ts";
import { guestCell } from "./guest.ts";
import { goesOnInMemory, keepInMemory } from "./kernel-memory.ts";
import { bringUpVcpus } from "./smp.ts";

/** Lets requests under way end and no new ones begin. */
const xsSuspend = routine(
  "xs_suspend",
  (a: { domid: number }) => ({ ...a }),
  ({ step, waitFor }) => [
    step("xs_suspend_enter", (host, l) => {
      host.edit(xenbusCell, l.domid).suspended = true;
    }),
    waitFor("xs_state_users == 0", (host, l) => must(host, xenbusCell, l.domid).users === 0),
    step("xs_suspend_entered", () => {}),
  ],
);

/** Lets requests begin again. */
const xsSuspendExit = routine(
  "xs_suspend_exit",
  (a: { domid: number }) => ({ ...a }),
  ({ step }) => [
    step("xs_suspend_active = 0", (host, l) => {
      goesOnInMemory(host, l.domid);
      host.edit(xenbusCell, l.domid).suspended = false;
    }),
  ],
);

const thaw = routine(
  "thaw_processes",
  (a: { domid: number }) => ({ ...a }),
  ({ step }) => [
    step("shutting_down = SHUTDOWN_INVALID", (host, l) => {
      host.edit(guestCell, l.domid).shuttingDown = "invalid";
    }),
  ],
);

/**
 * Suspends the guest. What follows the hypercall runs when the domain was
 * resumed as it was; in a restored domain xenwatch begins with `resumeRestored`.
 */
export const doSuspend = routine(
  "do_suspend",
  (a: { domid: number }) => ({ ...a }),
  ({ step, call }) => [
    step("shutting_down = SHUTDOWN_SUSPEND", (host, l) => {
      host.edit(guestCell, l.domid).shuttingDown = "suspend";
    }),
    call("xs_suspend", xsSuspend, (l) => l),
    step("HYPERVISOR_suspend", (host, l) => {
      keepInMemory(host, l.domid);
      schedopShutdown(host, { domid: l.domid, process: "kernel" }, { reason: ShutdownCode.suspend });
    }),
    call("xs_suspend_cancel", xsSuspendExit, (l) => l),
    call("thaw_processes", thaw, (l) => l),
  ],
);

/**
 * What follows the hypercall in a restored domain: interrupts, the watches in the
 * order in which the kernel has them, then the frontends, each of which finds a
 * new backend. Events that were waiting, and those of the new watches, come after it.
 */
export const resumeRestored = routine(
  "xs_resume",
  (a: { domid: number; devices: readonly string[] }) => ({
    ...a,
    tokens: [] as string[],
    token: "",
    nodename: "",
  }),
  ({ step, call, each, attempt }) => [
    step("xen_arch_resume", (host, l) => {
      startKernel(host, l.domid);
      bringUpVcpus(host, l.domid);
      l.tokens = watchTokens(host, l.domid);
    }),
    call("xs_suspend_exit", xsSuspendExit, (l) => ({ domid: l.domid })),
    each(
      "watches",
      (l) => l.tokens,
      (l, token) => void (l.token = token),
      [call("xs_watch", xsRewatch, (l) => ({ domid: l.domid, token: l.token }))],
    ),
    each(
      "dpm_resume_end",
      (l) => l.devices,
      (l, nodename) => void (l.nodename = nodename),
      [
        attempt([
          call("xenbus_dev_resume", xenbusProbeNode, (l) => ({
            domid: l.domid,
            bus: "frontend" as const,
            nodename: l.nodename,
          })),
        ]).onError(() => {}, []),
      ],
    ),
    call("thaw_processes", thaw, (l) => ({ domid: l.domid })),
  ],
);
