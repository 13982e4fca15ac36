// SPDX-License-Identifier: Apache-2.0
//
// Buttons and interrupts from outside (tools/libs/light/libxl_domain.c,
// libxl_send_trigger, libxl_send_sysrq).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { sendtrigger } from "../hypervisor/domctl-vcpu.ts";
import { domainType } from "./dominfo.ts";
import type { GuestType } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { qmpConnect } from "./qmp.ts";
import { ERROR_INVAL, rcOf } from "./rc.ts";
import type { triggers } from "./xl/amounts.ts";
import { xsGetDomainPath, xsWrite } from "./xs.ts";
import { sameDomain } from "./same.ts";

export type Trigger = (typeof triggers)[number];

/** Sends a trigger that Xen knows; `unknown` is none. Fails, and says so. */
export function sendTrigger(
  host: Host,
  process: string,
  domid: number,
  trigger: Exclude<Trigger, "s3resume">,
  vcpu: number,
): void | Failure {
  const sent =
    trigger === "unknown" ? fail("EINVAL") : sendtrigger(host, dom0(process), { domid, vcpu, trigger });
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

/** Wakes a domain from S3, which only an HVM domain's QEMU can (domain_s3_resume). Fails, and says so. */
export const s3Resume = routine(
  "domain_s3_resume",
  (a: { process: string; domid: number }) => ({ ...a, type: "pv" as GuestType | "none" }),
  ({ attempt, call, step }) => [
    attempt([call("libxl__domain_type", domainType, sameDomain, (l, type) => void (l.type = type))]).onError(
      (l) => void (l.type = "none"),
      [],
    ),
    step("system_wakeup", (host, { process, domid, type }) => {
      const sent = type === "hvm" ? qmpConnect(host, process, domid) : fail(ERROR_INVAL);
      if (!isFailure(sent)) return;
      const text = `Send trigger 's3resume' failed, rc=${rcOf(sent.errno)}`;
      libxlError(host, process, "libxl_domain.c:2162:domain_s3_resume_done", text, domid);
      return sent;
    }),
  ],
);

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
