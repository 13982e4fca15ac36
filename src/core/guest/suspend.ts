// SPDX-License-Identifier: Apache-2.0
//
// Suspending, and going on: in the same domain, or in another one that was
// restored from the saved memory (Linux drivers/xen/manage.c, xenbus_xs.c).

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { ShutdownCode } from "../hypervisor/domain.ts";
import { domainShutdown } from "../hypervisor/shutdown.ts";
import { devicesOn, sameDevice } from "../xenbus/device.ts";
import { xenbusDevResume } from "../xenbus/resume.ts";
import { xsRewatch } from "../xenbus/watch.ts";
import { xenbusCell } from "../xenbus/xenbus.ts";
import { guestCell } from "./guest.ts";

/** Lets requests under way end and no new ones begin. */
const xsSuspend = routine("xs_suspend", (a: { domid: number }) => ({ ...a }), ({ step, waitFor }) => [
  step("xs_suspend_enter", (host, l) => {
    host.edit(xenbusCell, l.domid).suspended = true;
  }),
  waitFor("xs_state_users == 0", (host, l) => must(host, xenbusCell, l.domid).users === 0),
  step("xs_suspend_entered", () => {}),
]);

/** Lets requests begin again. */
const xsSuspendExit = routine("xs_suspend_exit", (a: { domid: number }) => ({ ...a }), ({ step }) => [
  step("xs_suspend_active = 0", (host, l) => {
    host.edit(xenbusCell, l.domid).suspended = false;
  }),
]);

const thaw = routine("thaw_processes", (a: { domid: number }) => ({ ...a }), ({ step }) => [
  step("shutting_down = SHUTDOWN_INVALID", (host, l) => {
    host.edit(guestCell, l.domid).shuttingDown = "invalid";
  }),
]);

/**
 * Suspends the guest. What follows the hypercall runs when the domain was
 * resumed as it was; a restored domain goes on in `resumeRestored`.
 */
export const doSuspend = routine("do_suspend", (a: { domid: number }) => ({ ...a }), ({ step, call }) => [
  step("shutting_down = SHUTDOWN_SUSPEND", (host, l) => {
    host.edit(guestCell, l.domid).shuttingDown = "suspend";
  }),
  call("xs_suspend", xsSuspend, (l) => l),
  step("HYPERVISOR_suspend", (host, l) => domainShutdown(host, l.domid, ShutdownCode.suspend)),
  call("xs_suspend_cancel", xsSuspendExit, (l) => l),
  call("thaw_processes", thaw, (l) => l),
]);

/** What a restored kernel does before its xenwatch thread goes on: watches first, then its devices. */
export const resumeRestored = routine(
  "xs_resume",
  (a: { domid: number }) => ({ ...a, tokens: [] as string[], token: "", devices: [] as string[], device: "" }),
  ({ step, call, each }) => [
    call("xs_suspend_exit", xsSuspendExit, (l) => ({ domid: l.domid })),
    step("list of watches", (host, l) => {
      l.tokens = [...must(host, xenbusCell, l.domid).watches];
    }),
    each("watches", (l) => l.tokens, (l, token) => { l.token = token; }, [
      call("xs_watch", xsRewatch, (l) => ({ domid: l.domid, token: l.token })),
    ]),
    step("dpm_resume_end", (host, l) => {
      l.devices = [...devicesOn(host, l.domid, "frontend")];
    }),
    each("devices", (l) => l.devices, (l, device) => { l.device = device; }, [
      call("xenbus_dev_resume", xenbusDevResume, sameDevice),
    ]),
    call("thaw_processes", thaw, (l) => ({ domid: l.domid })),
  ],
);
