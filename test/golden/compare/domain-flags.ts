// SPDX-License-Identifier: Apache-2.0

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
    const withVcpus = new Set(
      recording.domains.filter((row) => Number(row.fields["maxvcpuid"] ?? -1) >= 0).map((row) => row.domid),
    );
    for (const row of recording.domains) {
      const domain = `domain ${names.domid(row.domid)}`;
      const text = row.change === "GONE" ? "GONE" : stateOf(row.fields);
      const brief = !withVcpus.has(row.domid) || isDead(row.fields);
      if (row.change === "NEW")
        add(facts, domain, { text: `NEW ${names.uuid(row.fields["handle"] ?? "")}`, brief });
      if (row.change === "CHG" && last.get(domain) === text) continue;
      add(facts, domain, { text, brief });
      last.set(domain, text);
    }
    return facts;
  },
};

function isDead(fields: Record<string, string>): boolean {
  return fields["flags"]?.at(5) === "d";
}

function stateOf(fields: Record<string, string>): string {
  const { flags = "", code = "", vcpus = "", maxvcpuid = "" } = fields;
  return `${flags.replaceAll(/[rb]/g, "-")} code=${code} vcpus=${vcpus} maxvcpuid=${maxvcpuid}`;
}
