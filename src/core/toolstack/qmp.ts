// SPDX-License-Identifier: Apache-2.0
//
// Talking to a domain's QEMU (tools/libs/light/libxl_qmp.c). Dom0 runs none: its
// socket is never there.

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { readFile } from "../daemons/files.ts";
import { domainInfo } from "./dominfo.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { strerror } from "./strerror.ts";

/**
 * Connects to a domain's QEMU. Fails, and says so, where there is no such domain, or no QEMU of it
 * (libxl__ev_qmp_send).
 */
export function qmpConnect(host: Host, process: string, domid: number): void | Failure {
  if (isFailure(domainInfo(host, process, domid))) {
    // The errno is that of the name which the domain has not.
    const text = `unable to find domain info for domain ${domid}: ${strerror("ENOENT")}`;
    libxlError(host, process, "libxl_dom.c:1216:libxl__userdata_path", text);
    return fail(ERROR_FAIL);
  }
  const path = `/var/run/xen/qmp-libxl-${domid}`;
  const socket = readFile(host, path);
  const refused = isFailure(socket) ? socket : fail("ECONNREFUSED");
  const where = "libxl_qmp.c:1334:qmp_ev_lock_aquired";
  return reported(host, process, where, `Failed to connect to QMP socket ${path}`, refused, domid);
}
