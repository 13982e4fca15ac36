// SPDX-License-Identifier: Apache-2.0
//
// A process's libxl context: a connection to xenstored and the right to make
// hypercalls (libxl_ctx_alloc).

import type { Host } from "../engine/host.ts";
import type { Caller } from "../hypervisor/caller.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import { listens } from "../daemons/unix-socket.ts";
import { XENSTORED } from "../daemons/xenstored-ports.ts";
import { xsClose, xsHandleCell, xsOpen } from "../daemons/xs-client.ts";
import { devdCell } from "../guest/devd-cell.ts";
import { createStateCell } from "./create-state.ts";
import { libxlError } from "./log.ts";
import { strerror } from "./strerror.ts";

/** A dom0 process as the hypervisor sees it: `dom0/xl.166` is process `xl.166`. */
export function dom0(process: string): Caller {
  return { domid: 0, process: process.slice(process.indexOf("/") + 1) };
}

/** Opens a process's context. ECONNREFUSED, of which libxl tells, where there is no xenstored any more. */
export function openContext(host: Host, process: string): Failure | undefined {
  if (listens(host, XENSTORED)) {
    xsOpen(host, process);
    return undefined;
  }
  const text = `cannot connect to xenstore: ${strerror("ECONNREFUSED")}`;
  libxlError(host, process, "libxl.c:108:libxl_ctx_alloc", text);
  return fail("ECONNREFUSED");
}

/** Whether a process has one open. */
export function hasContext(cells: Cells, process: string): boolean {
  return cells.get(xsHandleCell, process) !== undefined;
}

/** Closes it, if it is still open, and forgets what the process was making or looked after. */
export function closeContext(host: Host, process: string): void {
  if (hasContext(host, process)) xsClose(host, process);
  if (host.get(createStateCell, process) !== undefined) host.drop(createStateCell, process);
  if (host.get(devdCell, process) !== undefined) host.drop(devdCell, process);
}

/** The lock that a context's callbacks run under, one at a time (CTX_LOCK). */
export const contextLock = (process: string): string => `${process}/ctx`;
