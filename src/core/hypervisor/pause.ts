// SPDX-License-Identifier: Apache-2.0
//
// Pausing: a count anybody in Xen may raise, and within it the toolstack's own.

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "./domain.ts";
import { domainPauseChanged } from "./vcpu.ts";

/** Most pauses of a toolstack's at once, so that it cannot overflow the other count. */
const MAX_CONTROLLER_PAUSES = 255;

/** Keeps a domain's vCPUs from running until the matching unpause (domain_pause). */
export function domainPause(host: Host, domid: number): void {
  const d = host.edit(domainCell, domid);
  d.pauseCount++;
  if (d.pauseCount === 1) domainPauseChanged(host, d);
}

/** Takes back one pause (domain_unpause). */
export function domainUnpause(host: Host, domid: number): void {
  const d = host.edit(domainCell, domid);
  d.pauseCount--;
  if (d.pauseCount === 0) domainPauseChanged(host, d);
}

/** The toolstack's pause: EOVERFLOW beyond 255 (domain_pause_by_systemcontroller). */
export function pauseBySystemcontroller(host: Host, domid: number): 0 | Failure {
  if (must(host, domainCell, domid).controllerPauseCount >= MAX_CONTROLLER_PAUSES) return fail("EOVERFLOW");
  host.edit(domainCell, domid).controllerPauseCount++;
  domainPause(host, domid);
  return 0;
}

/** Takes back one of the toolstack's pauses, the one of creation included: EINVAL where there is none. */
export function unpauseBySystemcontroller(host: Host, domid: number): 0 | Failure {
  if (must(host, domainCell, domid).controllerPauseCount === 0) return fail("EINVAL");
  const d = host.edit(domainCell, domid);
  d.controllerPauseCount--;
  if (d.controllerPauseCount === 0) d.creationFinished = true;
  domainUnpause(host, domid);
  return 0;
}
