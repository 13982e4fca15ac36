// SPDX-License-Identifier: Apache-2.0
//
// Buttons and interrupts from outside (tools/libs/light/libxl_domain.c,
// libxl_send_trigger, libxl_send_sysrq).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { sendtrigger } from "../hypervisor/domctl-vcpu.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import type { triggers } from "./xl/amounts.ts";
import { xsGetDomainPath, xsWrite } from "./xs.ts";
import { sameDomain } from "./same.ts";

export type Trigger = (typeof triggers)[number];

export function sendTrigger(
  host: Host,
  process: string,
  domid: number,
  trigger: Trigger,
  vcpu: number,
): void | Failure {
  const sent =
    trigger === "unknown" || trigger === "s3resume"
      ? fail("EINVAL")
      : sendtrigger(host, dom0(process), { domid, vcpu, trigger });
  if (!isFailure(sent)) return;
  return reported(
    host,
    process,
    "libxl_domain.c:2207:libxl_send_trigger",
    `Send trigger '${trigger}' failed`,
    sent,
    domid,
  );
}

/** Writes a magic key for the guest's kernel (libxl_send_sysrq). */
export const sendSysrq = routine(
  "libxl_send_sysrq",
  (a: { process: string; domid: number; key: string }) => ({ ...a, home: "" }),
  ({ call }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call("control/sysrq", xsWrite, ({ process, home, key }) => ({
      process,
      path: `${home}/control/sysrq`,
      value: key,
    })),
  ],
);
