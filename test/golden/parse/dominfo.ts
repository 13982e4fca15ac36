// SPDX-License-Identifier: Apache-2.0

import type { DomainRow } from "../recording.ts";
import { lines } from "./commands.ts";

/** Parses `dominfo.log`: what sampling `getdomaininfolist` every 1 to 3 ms saw change. */
export function parseDominfo(text: string): DomainRow[] {
  const rows: DomainRow[] = [];
  for (const line of lines(text)) {
    const m = /^ *([\d.]+) (NEWHANDLE|NEW|CHG|GONE) dom=(\d+)(.*)$/.exec(line);
    if (!m) continue;
    // The same domid with another handle is another domain.
    const change = (m[2] === "NEWHANDLE" ? "NEW" : m[2]) as DomainRow["change"];
    const fields: Record<string, string> = {};
    if (change !== "GONE") {
      for (const word of m[4]!.trim().split(" ")) {
        const [name, value] = word.split("=");
        if (name && value !== undefined) fields[name] = value;
      }
    }
    rows.push({ time: Number(m[1]), change, domid: Number(m[3]), fields });
  }
  return rows;
}
