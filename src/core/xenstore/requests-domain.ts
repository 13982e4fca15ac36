// SPDX-License-Identifier: Apache-2.0
//
// Requests about domains: INTRODUCE, RELEASE, GET_DOMAIN_PATH,
// IS_DOMAIN_INTRODUCED, RESUME, SET_TARGET (xenstored_domain.c).

import { fail, type Failure, isFailure } from "../engine/errno.ts";
import {
  connectedDomain,
  forgetDomain,
  introduceDomain,
  isIntroduced,
  resumeDomain,
  setTarget,
} from "./domain.ts";
import { domainPath } from "./path.ts";
import type { Store } from "./ports.ts";
import { atoi, OK, oneArg, parseDomid, type Request, strings } from "./request.ts";

const DOMID_SELF = 0x7ff0;

/**
 * INTRODUCE: a domain, its ring page (which is found by grant, so the number does not matter) and its
 * event channel.
 */
export function introduce(store: Store, request: Request): string | Failure {
  const [domid, gfn, port] = strings(request, 3);
  if (domid === undefined || gfn === undefined || port === undefined) return fail("EINVAL");
  const id = parseDomid(store.cells, domid);
  if (isFailure(id)) return id;
  // A port is unsigned: only 0 is none (do_introduce).
  const portNumber = atoi(port) >>> 0;
  if (portNumber === 0) return fail("EINVAL");
  return introduceDomain(store, id, atoi(gfn), portNumber) ?? OK;
}

/** The domid a request with one argument names: an introduced domain other than 0. */
function otherDomain(store: Store, request: Request): number | Failure {
  const arg = oneArg(request);
  const domid = arg === undefined ? fail("EINVAL") : parseDomid(store.cells, arg);
  if (isFailure(domid)) return domid;
  if (domid === 0) return fail("EINVAL");
  return connectedDomain(store.cells, domid) ?? domid;
}

/** RELEASE: forgets a domain as if it were gone. */
export function release(store: Store, request: Request): string | Failure {
  const domid = otherDomain(store, request);
  if (isFailure(domid)) return domid;
  forgetDomain(store, domid);
  return OK;
}

/** RESUME: the domain runs again after a suspend. */
export function resume(store: Store, request: Request): string | Failure {
  const domid = otherDomain(store, request);
  if (isFailure(domid)) return domid;
  resumeDomain(store.cells, domid);
  return OK;
}

/** GET_DOMAIN_PATH: a domain's directory, whether there is such a domain or not. */
export function getDomainPath(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  const domid = arg === undefined ? fail("EINVAL") : parseDomid(store.cells, arg);
  return isFailure(domid) ? domid : `${domainPath(domid)}\0`;
}

/** IS_DOMAIN_INTRODUCED: `T` or `F`; DOMID_SELF always is. */
export function isDomainIntroduced(store: Store, request: Request): string | Failure {
  const arg = oneArg(request);
  const domid = arg === undefined ? fail("EINVAL") : parseDomid(store.cells, arg);
  if (isFailure(domid)) return domid;
  return domid === DOMID_SELF || isIntroduced(store.cells, domid) ? "T\0" : "F\0";
}

/** SET_TARGET: a device model domain gets the access of the domain it serves. */
export function setTargetRequest(store: Store, request: Request): string | Failure {
  const [domid, target] = strings(request, 2);
  if (domid === undefined || target === undefined) return fail("EINVAL");
  const { cells } = store;
  const by = parseDomid(cells, domid);
  if (isFailure(by)) return by;
  const served = parseDomid(cells, target);
  if (isFailure(served)) return served;
  const failure = connectedDomain(cells, by) ?? connectedDomain(cells, served);
  if (failure !== undefined) return failure;
  setTarget(cells, by, served);
  return OK;
}
