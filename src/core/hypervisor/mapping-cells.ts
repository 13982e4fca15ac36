// SPDX-License-Identifier: Apache-2.0
//
// What is in a domain's page tables of frames it maps without a grant, by frame.

import { cellType } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { bitmap, setBit } from "./bitmap.ts";
import type { Bitmap } from "./bitmap.ts";

/** Why a frame is in a domain's page tables. */
export type MappingKind = "foreign map" | "own map" | "grant map";

/** Entries of one process with the same rights. */
export interface Entry {
  process: string;
  kind: MappingKind;
  readonly: boolean;
  count: number;
}

/** How a domain maps a frame; sorted, so that the order of mapping is forgotten. Identifier: `mapper/mfn`. */
export const mappingCell = cellType<{ entries: Entry[] }>("mapping");

/** Frames a domain maps. */
export function mapped(domid: number): Bitmap {
  return bitmap(`mapped/${domid}`, 6);
}

export function entryKey({ process, kind, readonly }: Omit<Entry, "count">): string {
  return `${process}/${kind}/${readonly ? "r" : "w"}`;
}

/** Enters a mapping whose references are taken already. */
export function noteMapping(host: Host, mapper: number, entry: Omit<Entry, "count">, mfn: number): void {
  const id = `${mapper}/${mfn}`;
  if (host.get(mappingCell, id) === undefined) {
    setBit(host, mapped(mapper), mfn);
    host.add(mappingCell, id, { entries: [{ ...entry, count: 1 }] });
    return;
  }
  const { entries } = host.edit(mappingCell, id);
  const key = entryKey(entry);
  const at = entries.findIndex((e) => entryKey(e) >= key);
  const found = entries[at];
  if (found !== undefined && entryKey(found) === key) found.count++;
  else entries.splice(at < 0 ? entries.length : at, 0, { ...entry, count: 1 });
}
