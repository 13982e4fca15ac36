// SPDX-License-Identifier: Apache-2.0
//
// Platform shared resources (tools/libs/light/libxl_psr.c): what libxl says when
// the machine has none.

import { fail, isFailure } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { psrDomctl, psrSysctl } from "../hypervisor/absent.ts";
import { cputopoinfo } from "../hypervisor/sysctl.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";

/** libxl's words for what any of these calls can fail with (libxl__psr_log_err_msg). */
function psrWords(errno: Errno): string {
  const words: { readonly [E in Errno]?: string } = {
    ENOSYS: "unsupported operation",
    EOPNOTSUPP: "unsupported operation",
    ESRCH: "invalid domain ID",
    ENOTSOCK: "socket is not supported",
    EFAULT: "failed to exchange data with Xen",
  };
  return words[errno] ?? "unknown error";
}

/** Attaches cache monitoring to a domain, or detaches it. Fails, and says so. */
export function cmtAttach(host: Host, process: string, domid: number): Failure {
  const refused = psrDomctl(host, dom0(process), { domid });
  if (refused.errno !== "ENODEV") {
    return reported(host, process, "libxl_psr.c:46:libxl__psr_log_err_msg", psrWords(refused.errno), refused);
  }
  const text = "CMT is not supported in this system";
  return reported(host, process, "libxl_psr.c:71:libxl__psr_cmt_log_err_msg", text, refused);
}

/** Whether cache monitoring is on. */
export function cmtEnabled(host: Host, process: string): boolean {
  return !isFailure(psrSysctl(host, dom0(process)));
}

/** What can be allocated on a socket: fails where it is nothing (libxl_psr_get_hw_info). */
export function psrHwInfo(host: Host, process: string): Failure {
  return psrSysctl(host, dom0(process));
}

/**
 * Allocates to a domain, on those sockets that the machine has; null means all.
 * Fails, and says so, where there is nothing to allocate (libxl_psr_set_val).
 *
 * @param feature libxl's name of what is allocated: "L3 CAT", "MBA"
 */
export function psrSetValue(
  host: Host,
  process: string,
  domid: number,
  feature: string,
  sockets: readonly number[] | null,
): void | Failure {
  const caller = dom0(process);
  const cpus = cputopoinfo(host, caller);
  if (isFailure(cpus)) return cpus;
  const count = new Set(cpus.map(({ socket }) => socket)).size;
  let result: Failure | undefined = undefined;
  for (let socket = 0; socket < count; socket++) {
    if (sockets !== null && !sockets.includes(socket)) continue;
    const refused = psrDomctl(host, caller, { domid });
    if (refused.errno === "ENODEV") {
      const where = "libxl_psr.c:123:libxl__psr_alloc_log_err_msg";
      libxlError(host, process, where, `${feature}: is not supported in this system`);
    } else reported(host, process, "libxl_psr.c:46:libxl__psr_log_err_msg", psrWords(refused.errno), refused);
    result = fail(ERROR_FAIL);
  }
  return result;
}
