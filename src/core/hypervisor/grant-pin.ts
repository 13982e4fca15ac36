// SPDX-License-Identifier: Apache-2.0
//
// Pins: how often a grant entry is in use, which its guest sees as two flags in
// the entry (xen/common/grant_table.c, _set_status, reduce_status_for_pin).

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { clearBit, setBit } from "./bitmap.ts";
import { domainCell } from "./domain.ts";
import { activeGrantCell, activeRefs } from "./grant-cells.ts";
import type { ActiveGrant } from "./grant-cells.ts";
import {
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_type_mask,
  GTF_writing,
  readEntry,
  writeFlags,
} from "./grant-entry.ts";
import { GrantStatus } from "./grant-status.ts";
import type { GrantStatusCode } from "./grant-status.ts";
import { getGfn } from "./pod-populate.ts";
import { pageOf } from "./page.ts";

/** One pin of each kind: a byte each in the pin count. */
export const PIN = { hostWrite: 1, hostRead: 1 << 8, deviceWrite: 1 << 16, deviceRead: 1 << 24 } as const;
const PIN_WRITABLE = 0x00ff00ff;

/** Pins an entry for use: checks what the guest allows and marks it in use (_set_status_v1, get_paged_frame). */
export function pinEntry(
  host: Host,
  user: number,
  granter: number,
  ref: number,
  readonly: boolean,
  increment: number,
): ActiveGrant | GrantStatusCode {
  const entry = readEntry(host, granter, ref);
  if (entry === undefined) return GrantStatus.bad_gntref;
  const id = `${granter}/${ref}`;
  const act = host.get(activeGrantCell, id);
  if (act !== undefined && (act.domid !== user || overflows(act.pin, increment)))
    return GrantStatus.general_error;
  if (act === undefined || (!readonly && (act.pin & PIN_WRITABLE) === 0)) {
    const permitted =
      (entry.flags & (GTF_type_mask | GTF_sub_page)) === GTF_permit_access && entry.domid === user;
    if (act === undefined && !permitted) return GrantStatus.general_error;
    if (!readonly && (entry.flags & GTF_readonly) !== 0) return GrantStatus.general_error;
    writeFlags(host, granter, ref, entry.flags | GTF_reading | (readonly ? 0 : GTF_writing));
  }
  if (act !== undefined) {
    const edited = host.edit(activeGrantCell, id);
    edited.pin = (edited.pin + increment) >>> 0;
    return edited;
  }
  const mfn = getGfn(host, must(host, domainCell, granter), entry.frame, user);
  if (mfn < 0 || pageOf(host, mfn)?.owner !== granter) {
    writeFlags(host, granter, ref, entry.flags);
    return GrantStatus.bad_page;
  }
  setBit(host, activeRefs(granter), ref);
  return host.add(activeGrantCell, id, { domid: user, mfn, gfn: entry.frame, pin: increment });
}

function overflows(pin: number, increment: number): boolean {
  return [0, 8, 16, 24].some(
    (shift) => ((increment >>> shift) & 0xff) !== 0 && ((pin >>> shift) & 0x80) !== 0,
  );
}

/** Takes pins away; what nobody uses any more is no longer marked in use (reduce_status_for_pin). */
export function unpinEntry(host: Host, granter: number, ref: number, decrement: number): void {
  const id = `${granter}/${ref}`;
  const act = host.edit(activeGrantCell, id);
  act.pin = (act.pin - decrement) >>> 0;
  const { flags } = readEntry(host, granter, ref) ?? { flags: 0 };
  const cleared = ((act.pin & PIN_WRITABLE) === 0 ? GTF_writing : 0) | (act.pin === 0 ? GTF_reading : 0);
  if ((flags & cleared) !== 0) writeFlags(host, granter, ref, flags & ~cleared);
  if (act.pin !== 0) return;
  host.drop(activeGrantCell, id);
  clearBit(host, activeRefs(granter), ref);
}
