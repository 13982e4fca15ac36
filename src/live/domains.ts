// SPDX-License-Identifier: Apache-2.0
//
// The domains of a host, for those who look on: the columns of `xl list`,
// without the hypercalls and xenstore requests that xl would make for them.

import type { Cells } from "../core/engine/cells.ts";
import { forEachDomain } from "../core/hypervisor/domain.ts";
import { getdomaininfo, stateString } from "../core/hypervisor/dominfo.ts";
import { nodeType } from "../core/xenstore/tree.ts";

/** A domain as it is listed. */
export interface DomainRow {
  domid: number;
  /** As xenstore has it; null where it has none. */
  name: string | null;
  memoryMiB: number;
  vcpus: number;
  /** xl's six letters: `r b p s`, the shutdown's reason, `d`. */
  state: string;
  cpuSeconds: number;
}

/** A domain's name as the toolstack wrote it to xenstore. */
export function domainName(cells: Cells, domid: number): string | null {
  return cells.get(nodeType, `/local/domain/${domid}/name`)?.value ?? null;
}

/**
 * Every domain the hypervisor lists, in order of domid.
 *
 * @param nameOf names, where the host's own xenstored does not have them
 */
export function domainRows(
  cells: Cells,
  now: number,
  nameOf = (domid: number): string | null => domainName(cells, domid),
): DomainRow[] {
  const rows = [...forEachDomain(cells)].map((domain): DomainRow => {
    const info = getdomaininfo(cells, now, domain);
    return {
      domid: domain.domid,
      name: nameOf(domain.domid),
      memoryMiB: Math.floor((info.totPages + info.outstandingPages) / 256),
      vcpus: info.nrOnlineVcpus,
      state: stateString(info.flags),
      cpuSeconds: info.cpuTime / 1e9,
    };
  });
  return rows.toSorted((a, b) => a.domid - b.domid);
}

/** Columns of xl's table behind the name's, which is 40 wide. */
const OTHER_COLUMNS = "   ID   Mem VCPUs      State   Time(s)".length;
const NAME_COLUMNS = 40;

/**
 * The rows as `xl list` prints them, its header first.
 *
 * @param columns how wide the table may be: names make room where it is less than xl's
 */
export function domainTable(rows: readonly DomainRow[], columns = Infinity): string[] {
  const room = Math.max(4, Math.min(NAME_COLUMNS, columns - OTHER_COLUMNS - 1));
  return [
    `${"Name".padEnd(room)}    ID   Mem VCPUs${room === NAME_COLUMNS ? "\tState\t" : "      State   "}Time(s)`,
    ...rows.map(({ domid, name, memoryMiB, vcpus, state, cpuSeconds }) => {
      const shown = name ?? "(null)";
      const fits = shown.length <= room || room === NAME_COLUMNS ? shown : `${shown.slice(0, room - 1)}…`;
      const left = `${fits.padEnd(room)} ${String(domid).padStart(5)} ${String(memoryMiB).padStart(5)}`;
      return `${left} ${String(vcpus).padStart(5)}     ${state}  ${cpuSeconds.toFixed(1).padStart(8)}`;
    }),
  ];
}
