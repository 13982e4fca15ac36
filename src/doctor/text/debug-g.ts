// SPDX-License-Identifier: Apache-2.0
//
// What debug key g prints, read back (xen/common/grant_table.c,
// gnttab_usage_print_all). "remote" is the granter, "localdom" the mapper.

/** A grant that is mapped. */
export interface GrantRow {
  ref: number;
  mapper: number;
  mfn: number;
  /** Mappings: host and device, writable or not. */
  mappings: number;
}

/** One press of the key. */
export interface GDump {
  /** Mapped grants by granter; a granter without any has an empty list. */
  granters: Map<number, GrantRow[]>;
  begins: boolean;
  ends: boolean;
}

const FIRST = /gnttab_usage_print_all \[ key 'g' pressed/;
const LAST = /gnttab_usage_print_all \] done/;
const TABLE = /^ *grant-table for remote (?:d|domain: *)(\d+)/;
const ROW = /^ *\[(?:0x)?([0-9a-f ]+)\] +(\d+) 0x([0-9a-f]+) 0x([0-9a-f]+)/;

/** The last press of key g in a log without its prefixes, or null where there is none. */
export function parseG(lines: readonly string[]): GDump | null {
  let dump: GDump | null = null;
  let rows: GrantRow[] | null = null;
  for (const line of lines) {
    if (FIRST.test(line)) {
      dump = { granters: new Map(), begins: true, ends: false };
      rows = null;
    }
    const granter = TABLE.exec(line)?.[1];
    if (granter !== undefined) {
      dump ??= { granters: new Map(), begins: false, ends: false };
      rows = [];
      dump.granters.set(Number(granter), rows);
    }
    if (LAST.test(line) && dump !== null) {
      dump.ends = true;
      rows = null;
    }
    const row = ROW.exec(line);
    if (row !== null) rows?.push(rowOf(row));
  }
  return dump;
}

function rowOf([line = "", ref = "", mapper = "", mfn = "", pin = ""]: readonly string[]): GrantRow {
  const pins = Number.parseInt(pin, 16);
  return {
    // Older versions print the reference in decimal, without 0x.
    ref: Number.parseInt(ref.trim(), line.includes("[0x") ? 16 : 10),
    mapper: Number(mapper),
    mfn: Number.parseInt(mfn, 16),
    mappings: [0, 8, 16, 24].reduce((sum, shift) => sum + ((pins >>> shift) & 0xff), 0),
  };
}
