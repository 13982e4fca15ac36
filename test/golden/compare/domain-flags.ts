// SPDX-License-Identifier: Apache-2.0

import type { DomainRow } from "../recording.ts";
import { add, type Comparator, type Facts } from "./facts.ts";

/**
 * (1) The states each domain goes through. `r` and `b` are sampled, so they
 * are masked; rows that differ only in page or CPU figures, which depend on
 * when the sample fell, then merge. Sampling can miss a dead domain, which
 * stays only until the last page is given back, and all of one that got no
 * vCPU before it was destroyed.
 */
export const domainFlags: Comparator = {
  name: "domain-flags",
  facts({ recording, names }) {
    const facts: Facts = new Map();
    const last = new Map<string, string>();
    const bare = bareLives(recording.domains);
    for (const row of recording.domains) {
      const domain = `domain ${names.domid(row.domid)}`;
      const text = row.change === "GONE" ? "GONE" : stateOf(row.fields);
      const brief = bare.has(row) || isDead(row.fields);
      if (row.change === "NEW")
        add(facts, domain, { text: `NEW ${names.uuid(row.fields["handle"] ?? "")}`, brief });
      if (row.change === "CHG" && last.get(domain) === text) continue;
      add(facts, domain, { text, brief });
      last.set(domain, text);
    }
    return facts;
  },
};

/** The rows of domains that never had a vCPU. */
function bareLives(rows: DomainRow[]): Set<DomainRow> {
  const bare = new Set<DomainRow>();
  const lives = new Map<number, DomainRow[]>();
  for (const row of rows) {
    const life = row.change === "NEW" ? [row] : [...(lives.get(row.domid) ?? []), row];
    lives.set(row.domid, life);
    if (row.change === "GONE" && life.every(({ fields }) => Number(fields["maxvcpuid"] ?? -1) < 0)) {
      for (const one of life) bare.add(one);
    }
  }
  return bare;
}

function isDead(fields: Record<string, string>): boolean {
  return fields["flags"]?.at(5) === "d";
}

function stateOf(fields: Record<string, string>): string {
  const { flags = "", code = "", vcpus = "", maxvcpuid = "" } = fields;
  return `${flags.replaceAll(/[rb]/g, "-")} code=${code} vcpus=${vcpus} maxvcpuid=${maxvcpuid}`;
}
