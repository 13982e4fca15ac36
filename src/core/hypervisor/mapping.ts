// SPDX-License-Identifier: Apache-2.0
//
// Frames a domain maps without a grant: other domains' memory, and what the
// hypervisor shares with it. In Xen these are entries of its page tables; the
// references go when they are taken out, or with the page tables.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { assert, fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { clearBit, findNextBit } from "./bitmap.ts";
import { domainCell } from "./domain.ts";
import { mappedRunAt, mappedRunFrom } from "./mapped-run.ts";
import { entryKey, mapped, mappingCell, noteMapping } from "./mapping-cells.ts";
import type { Entry, MappingKind } from "./mapping-cells.ts";
import { getPage, getPageAndType, isolate, pageOf, putPage, putPageAndType } from "./page.ts";

/**
 * Whether a mapping of that owner's page counts as a writable use of it: only
 * page tables the hypervisor checks count, and only for memory that may be page
 * tables itself (get_page_from_l1e).
 */
export function takesType(cells: Cells, mapper: number, owner: number, readonly: boolean): boolean {
  return (
    !readonly && must(cells, domainCell, mapper).type === "pv" && must(cells, domainCell, owner).type === "pv"
  );
}

/**
 * Puts a frame of `owner` into the mapper's page tables and takes the
 * reference. EBUSY where the frame is not the owner's, or may not be written
 * because it is a page table (get_page_from_l1e).
 */
export function mapFrame(
  host: Host,
  mapper: number,
  process: string,
  kind: MappingKind,
  owner: number,
  mfn: number,
  readonly: boolean,
): 0 | Failure {
  const holder = {
    holder: `d${mapper}/${process}`,
    kind,
    op: kind === "foreign map" ? "mmu_update" : "update_va_mapping",
  };
  const got = takesType(host, mapper, owner, readonly)
    ? getPageAndType(host, mfn, owner, "writable", holder)
    : getPage(host, mfn, owner, holder);
  if (!got) return fail("EBUSY");
  noteMapping(host, mapper, { process, kind, readonly }, mfn);
  return 0;
}

/** Takes a frame out of the mapper's page tables; EINVAL where that process does not map it so. */
export function unmapFrame(
  host: Host,
  mapper: number,
  process: string,
  kind: MappingKind,
  mfn: number,
  readonly: boolean,
): 0 | Failure {
  if (kind === "foreign map" && mappedRunAt(host, mfn)?.run.mapper === mapper) isolate(host, mfn);
  const id = `${mapper}/${mfn}`;
  const key = entryKey({ process, kind, readonly });
  const at = host.get(mappingCell, id)?.entries.findIndex((e) => entryKey(e) === key) ?? -1;
  if (at < 0) return fail("EINVAL");
  const { entries } = host.edit(mappingCell, id);
  const entry = entries[at];
  assert(entry !== undefined, "found above");
  entry.count--;
  if (entry.count === 0) entries.splice(at, 1);
  if (entries.length === 0) forget(host, mapper, mfn);
  putMapped(host, mapper, entry, mfn);
  return 0;
}

function forget(host: Host, mapper: number, mfn: number): void {
  host.drop(mappingCell, `${mapper}/${mfn}`);
  clearBit(host, mapped(mapper), mfn);
}

function putMapped(host: Host, mapper: number, { process, kind, readonly }: Entry, mfn: number): void {
  const owner = pageOf(host, mfn)?.owner;
  assert(owner !== undefined, `frame ${mfn} was freed while mapped`);
  const put = takesType(host, mapper, owner, readonly) ? putPageAndType : putPage;
  put(host, mfn, `d${mapper}/${process}`, kind);
}

/** Gives all frames that a domain's processes map in runs cells of their own. */
function isolateAll(host: Host, mapper: number): void {
  for (let found = mappedRunFrom(host, 0); found !== undefined;) {
    const { last } = found;
    if (found.run.mapper === mapper) for (let mfn = found.run.first; mfn <= last; mfn++) isolate(host, mfn);
    found = mappedRunFrom(host, last + 1);
  }
}

/**
 * Takes up to `limit` frames out of a domain's page tables, all processes' entries; says how many were left
 * to take.
 */
export function dropMappings(host: Host, mapper: number, limit: number): "done" | "more" {
  isolateAll(host, mapper);
  for (let done = 0; ; done++) {
    const mfn = findNextBit(host, mapped(mapper), 0);
    if (mfn < 0) return "done";
    if (done === limit) return "more";
    const entries = must(host, mappingCell, `${mapper}/${mfn}`).entries.map((entry) => ({ ...entry }));
    forget(host, mapper, mfn);
    for (const entry of entries) for (let i = 0; i < entry.count; i++) putMapped(host, mapper, entry, mfn);
  }
}
