// SPDX-License-Identifier: Apache-2.0
//
// Requests about what a domain may use, in versions that keep this a domain:
// GET_FEATURE, SET_FEATURE, GET_QUOTA, SET_QUOTA (tools/xenstored/domain.c).

import type { Cells } from "../engine/cells.ts";
import { fail, type Failure, isFailure } from "../engine/errno.ts";
import { featuresOf } from "./connection.ts";
import { isIntroduced, knowExisting } from "./domain.ts";
import { quotaNames, type QuotaName, quotaOfName } from "./quota-names.ts";
import type { Store } from "./ports.ts";
import { domainSettingsOf, editDomainSettings, limitsOf, setLimit, settingsOf } from "./quota.ts";
import { atoi, OK, parseDomid, type Request, strings } from "./request.ts";

/** A domid in a request that must be a domain's that exists. EINVAL; ENOENT. */
function existing(store: Store, text: string): number | Failure {
  const domid = parseDomid(store.cells, text);
  if (isFailure(domid)) return domid;
  return knowExisting(store, domid) ? domid : fail("ENOENT");
}

/** GET_FEATURE: bits, of the caller or, for the privileged, of a domain. */
export function getFeature(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const { conn, privileged } = request.caller;
  const args = strings(request);
  const [which] = args;
  if (which === undefined) return `${featuresOf(cells, conn)}\0`;
  if (!privileged) return fail("EACCES");
  if (args.length > 1) return fail("EINVAL");
  const domid = existing(store, which);
  return isFailure(domid) ? domid : `${domainSettingsOf(cells, domid).features}\0`;
}

/** SET_FEATURE: what a domain may use, before it is introduced; a part of what there is. */
export function setFeature(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const args = strings(request);
  const [which, bits] = args;
  if (args.length !== 2 || which === undefined || bits === undefined) return fail("EINVAL");
  const domid = existing(store, which);
  if (isFailure(domid)) return domid;
  if (isIntroduced(cells, domid)) return fail("EBUSY");
  const features = atoi(bits) >>> 0;
  if ((features & ~settingsOf(cells).features) !== 0) return fail("EINVAL");
  editDomainSettings(cells, domid).features = features;
  return OK;
}

/** GET_QUOTA: the names there are, or one value: that for domains to come, or a domain's. */
export function getQuota(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const args = strings(request);
  if (args.length > 2) return fail("EINVAL");
  if (args.length === 0) return `${quotaNames().join(" ")}\0`;
  const domid = args.length === 2 ? existing(store, args[0] as string) : null;
  if (isFailure(domid)) return domid;
  const name = quotaOfName(args.at(-1) as string);
  if (name === undefined) return fail("EINVAL");
  return `${valueOf(cells, domid, name)}\0`;
}

function valueOf(cells: Cells, domid: number | null, { limit }: QuotaName): number {
  return (domid === null ? settingsOf(cells).limits : limitsOf(cells, domid))[limit];
}

/** SET_QUOTA: for domains to come, or for one domain; 0 is no limit. */
export function setQuota(store: Store, request: Request): string | Failure {
  const { cells } = store;
  const args = strings(request);
  if (args.length < 2 || args.length > 3) return fail("EINVAL");
  const domid = args.length === 3 ? existing(store, args[0] as string) : null;
  if (isFailure(domid)) return domid;
  const name = quotaOfName(args.at(-2) as string);
  const value = atoi(args.at(-1) as string) >>> 0;
  if (name === undefined || value === QUOTA_DISABLED) return fail("EINVAL");
  if (domid === null) setLimit(cells, name.limit, value);
  else editDomainSettings(cells, domid).limits[name.limit] = value;
  return OK;
}

/** Stands for a quota that a domain does not have of its own (Q_VAL_DISABLED). */
const QUOTA_DISABLED = 0xffffffff;
