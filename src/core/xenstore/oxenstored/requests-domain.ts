// SPDX-License-Identifier: Apache-2.0
//
// Requests about domains as oxenstored answers them (process.ml do_introduce to
// do_set_target), and what becomes of domains (domains.ml cleanup).

import { type Cells, cellType } from "../../engine/cells.ts";
import { fail, type Failure, isFailure } from "../../engine/errno.ts";
import {
  connectDomain,
  connectedDomain,
  dropKnown,
  isIntroduced,
  knownDomains,
  setTarget,
} from "../domain.ts";
import { withOwner } from "../perms.ts";
import type { Store } from "../ports.ts";
import { OK } from "../request.ts";
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "../special.ts";
import { nodeType, storedSubtree } from "../tree.ts";
import type { OcamlRequest } from "./request.ts";
import { forgetEntries } from "./entries.ts";
import { intOfString, isDom0, ownerText, withoutEntries } from "./perms.ts";
import { removeAt, replacingAll, setPermsAt } from "./tree.ts";
import { fireSpecial } from "./watch.ts";

const DOMID_SELF = 0x7ff0n;

/** What a domain was introduced with: the frame of its ring, as text, and its event channel. */
const introducedType = cellType<{ mfn: string; port: number }>("oxenstored-introduced");

/** The strings of a payload, at most eight; the last one has what follows. */
export function split(body: string): string[] {
  const parts = body.split("\0");
  return parts.length <= 8 ? parts : [...parts.slice(0, 7), parts.slice(7).join("\0")];
}

/** A number as c_int_of_string reads it: the first digits there are; 0 for none. */
function firstDigits(text: string): bigint {
  return BigInt.asUintN(63, BigInt(/\d+/.exec(text)?.[0] ?? "0"));
}

/** GET_DOMAIN_PATH: a domain's directory, whether there is such a domain or not. */
export function getDomainPath(_store: Store, { body }: OcamlRequest): string | Failure {
  const [domid, end, ...more] = split(body);
  return end === "" && more.length === 0 ? `/local/domain/${firstDigits(domid ?? "")}\0` : fail("EINVAL");
}

/** The domid an argument names, among those that there can be; EINVAL where it is no number. */
function domidOf(text: string | undefined): bigint | Failure {
  const domid = text === undefined ? undefined : intOfString(text);
  return domid ?? fail("EINVAL");
}

/** IS_DOMAIN_INTRODUCED: `T` or `F`; DOMID_SELF always is. */
export function isDomainIntroduced({ cells }: Store, { caller, body }: OcamlRequest): string | Failure {
  if (!isDom0(caller)) return fail("EACCES");
  const domid = domidOf(split(body)[0]);
  if (isFailure(domid)) return domid;
  return domid === DOMID_SELF || isIntroduced(cells, Number(domid)) ? "T\0" : "F\0";
}

/** RESUME: nothing to do, but the domain must be there. */
export function resume({ cells }: Store, { caller, body }: OcamlRequest): string | Failure {
  if (!isDom0(caller)) return fail("EACCES");
  const domid = domidOf(split(body)[0]);
  if (isFailure(domid)) return domid;
  return isIntroduced(cells, Number(domid)) ? OK : fail("EINVAL");
}

/** SET_TARGET: the domain must be there, the other one need not. */
export function setTargetRequest({ cells }: Store, { caller, body }: OcamlRequest): string | Failure {
  if (!isDom0(caller)) return fail("EACCES");
  const [domid, target, end, ...more] = split(body);
  if (domid === undefined || target === undefined || end !== "" || more.length > 0) return fail("EINVAL");
  const by = Number(firstDigits(domid));
  const failure = connectedDomain(cells, by);
  if (failure !== undefined) return failure;
  setTarget(cells, by, Number(firstDigits(target)));
  return OK;
}

/** INTRODUCE: a domain, the frame of its ring, and its event channel. Once more with the same frame: the channel. */
export function introduce(store: Store, { caller, body }: OcamlRequest): string | Failure {
  if (!isDom0(caller)) return fail("EACCES");
  const [domidText, mfnText, portText] = split(body);
  if (mfnText === undefined || portText === undefined) return fail("EINVAL");
  const port = domidOf(portText);
  if (isFailure(port)) return port;
  const mfn = intOfString(mfnText);
  // That a frame's number is none is nothing it expects (Nativeint.of_string).
  if (mfn === undefined) return fail("EIO");
  const domid = domidOf(domidText);
  if (isFailure(domid)) return domid;
  return introduceDomain(store, Number(domid), mfn, Number(port)) ?? OK;
}

function introduceDomain(store: Store, domid: number, mfn: bigint, port: number): Failure | undefined {
  const { cells } = store;
  if (isIntroduced(cells, domid)) {
    const known = cells.get(introducedType, domid);
    // Of domain 0, and of one that came with a live update, nobody introduced the frame.
    if (known !== undefined ? known.mfn !== String(mfn) : domid === 0 && mfn !== 0n) return fail("EINVAL");
    if (domid === 0) return undefined;
    store.domains.rebind(domid, port);
    if (known !== undefined) cells.edit(introducedType, domid).port = port;
    return undefined;
  }
  if (domid <= 0 || domid > 0x7fef) return fail("EINVAL");
  if (isFailure(connectDomain(store, domid, Number(mfn), port))) return fail("EINVAL");
  cells.add(introducedType, domid, { mfn: String(mfn), port });
  fireSpecial(store, INTRODUCE_DOMAIN);
  return undefined;
}

/** RELEASE: a domain is forgotten. What was its own goes even where it is not there. */
export function release(store: Store, { caller, body }: OcamlRequest): string | Failure {
  const { cells } = store;
  if (!isDom0(caller)) return fail("EACCES");
  const [text, end, ...more] = split(body);
  if (end !== "" || more.length > 0) return fail("EINVAL");
  const domid = domidOf(text);
  if (isFailure(domid)) return domid;
  // It would take the whole store with it (see the differences).
  if (domid === 0n) return fail("EINVAL");
  const wasThere = isIntroduced(cells, Number(domid));
  forget(store, [Number(domid)]);
  if (!wasThere) return fail("EINVAL");
  fireSpecial(store, RELEASE_DOMAIN);
  return OK;
}

/** Domains are gone: their connections, nodes, and entries in others' permissions. */
function forget(store: Store, domids: readonly number[]): void {
  const { cells } = store;
  for (const domid of domids) {
    // First its nodes: with the domain goes its account.
    resetPermissions(cells, domid);
    if (isIntroduced(cells, domid)) dropKnown(store, domid);
    if (cells.get(introducedType, domid) !== undefined) cells.drop(introducedType, domid);
  }
}

/**
 * Takes a domain out of the tree (reset_permissions): its nodes go with all
 * below, and nobody is told; its entries go from all others.
 */
function resetPermissions(cells: Cells, domid: number): void {
  replacingAll(cells);
  forgetEntries(cells, domid);
  for (const path of storedSubtree(cells, "/").toReversed()) {
    const node = cells.get(nodeType, path);
    // It went with one above it.
    if (node === undefined) continue;
    const isIts = ownerText(node.perms) === String(domid);
    if (isIts && path !== "/") removeAt(cells, null, path);
    else {
      const kept = withoutEntries(isIts ? withOwner(node.perms, 0) : node.perms, domid);
      if (kept !== node.perms) setPermsAt(cells, null, path, kept);
    }
  }
}

/**
 * VIRQ_DOM_EXC (domains.ml cleanup): those that died are forgotten, and one event
 * tells of all; it comes, too, as long as a domain is shut down and not yet gone.
 */
export function domainsChanged(store: Store): void {
  const { cells } = store;
  const dead: number[] = [];
  let isShutdown = false;
  for (const domid of knownDomains(cells)) {
    if (domid === 0 || !isIntroduced(cells, domid)) continue;
    const info = store.domains.info(domid);
    if (info === undefined || info.dying) dead.push(domid);
    else if (info.shutdown) isShutdown = true;
  }
  forget(store, dead);
  if (dead.length > 0 || isShutdown) fireSpecial(store, RELEASE_DOMAIN);
}
