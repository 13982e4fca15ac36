// SPDX-License-Identifier: Apache-2.0
//
// Asking a guest to do something: libxl writes the request into its node and
// waits until the guest has emptied it (tools/libs/light/libxl_domain.c,
// libxl__domain_pvcontrol).

import { fail, isFailure, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { getParam } from "../hypervisor/hvm-op.ts";
import { waitForNode } from "./device-wait.ts";
import type { Hope } from "./device-wait.ts";
import { domainType } from "./dominfo.ts";
import type { GuestType } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_NOPARAVIRT, ERROR_TIMEDOUT, rcOf } from "./rc.ts";
import { xsGetDomainPath, xsWatch, xsWrite } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Microseconds a guest has to acknowledge. */
const ACK_TIMEOUT = 60_000_000;

const HVM_PARAM_CALLBACK_IRQ = 0;

/** Fails with ERROR_NOPARAVIRT for a guest that would not look at the node (libxl__domain_pvcontrol_available). */
const pvControlAvailable = routine(
  "libxl__domain_pvcontrol_available",
  (a: { process: string; domid: number }) => ({ ...a, type: "pv" as GuestType }),
  ({ call, when, step }) => [
    call("libxl__domain_type", domainType, sameDomain, (l, type) => void (l.type = type)),
    when("hvm", (l) => l.type === "hvm", [
      step("HVM_PARAM_CALLBACK_IRQ", (host, l) => {
        const irq = getParam(host, dom0(l.process), { domid: l.domid, index: HVM_PARAM_CALLBACK_IRQ });
        if (isFailure(irq)) {
          const where = "libxl_domain.c:740:libxl__domain_pvcontrol_available";
          return reported(host, l.process, where, "Getting HVM callback IRQ", irq, l.domid);
        }
        return irq === 0n ? fail(ERROR_NOPARAVIRT) : undefined;
      }),
    ]),
  ],
);

/**
 * Writes a request and waits for the guest's acknowledgement; the value the node
 * then has. Fails with ERROR_TIMEDOUT after a minute.
 */
export const pvControl = routine(
  "libxl__domain_pvcontrol",
  (a: { process: string; domid: number; request: string; hope: Hope }) => ({
    ...a,
    path: "",
    watch: null as Watch | null,
    value: null as string | null,
  }),
  ({ call }) => [
    call("available", pvControlAvailable, sameDomain),
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.path = `${home}/control/shutdown`;
    }),
    call("request", xsWrite, ({ process, path, request }) => ({ process, path, value: request })),
    call(
      "watch",
      xsWatch,
      ({ process, path }) => ({ process, path }),
      (l, watch) => void (l.watch = watch),
    ),
    call(
      "acknowledgement",
      waitForNode,
      ({ process, watch, hope }) => ({ process, watch: present(watch), hope, timeout: ACK_TIMEOUT }),
      (l, value) => void (l.value = value),
    ),
  ],
  (l) => l.value,
);

/** Asks a guest to power off or to reboot (libxl_domain_shutdown, libxl_domain_reboot). */
export const domainStop = routine(
  "libxl_domain_shutdown",
  (a: { process: string; domid: number; request: "poweroff" | "reboot" }) => ({
    ...a,
    errno: "EIO" as Errno,
  }),
  ({ attempt, call, step, failWith }) => [
    attempt([
      call("libxl__domain_pvcontrol", pvControl, ({ process, domid, request }) => ({
        process,
        domid,
        request,
        hope: { empty: true as const },
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => {
          // Only what comes after the request was written is said here.
          if (l.errno !== ERROR_TIMEDOUT) return;
          const text = `guest didn't acknowledge control request: ${rcOf(l.errno)}`;
          libxlError(host, l.process, "libxl_domain.c:854:pvcontrol_cb", text);
        }),
        failWith("not stopped", (l) => l.errno),
      ],
    ),
  ],
);
