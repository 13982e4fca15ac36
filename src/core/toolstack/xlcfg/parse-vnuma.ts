// SPDX-License-Identifier: Apache-2.0
//
// vnuma=: virtual NUMA nodes, each a list of "pnode=", "size=", "vcpus=" and
// "vdistances=" (tools/xl/xl_parse.c, parse_vnuma_config).

import { allocCpuBitmap, cpuBitmapBits, parseRange, type CpuBitmap } from "./cpu-range.ts";
import type { DomainBuildInfo } from "./domain-config.ts";
import { die, type Parse, type Section } from "./parse-context.ts";
import { getList, warnNotList } from "./reader.ts";
import { int32, strtok, strtoul, uint32 } from "./strtol.ts";

interface Vnuma {
  node: DomainBuildInfo["vnuma_nodes"][number];
  vcpus: CpuBitmap;
  /** vCPUs and KiB of all nodes so far. */
  totals: { vcpus: number; memkb: number };
}

/** vnuma_nodes, with the sums that maxvcpus and maxmem must agree with. */
export const parseVnuma: Section = (parse) => {
  const list = getList(parse, "vnuma", true);
  if (list === null || list.values.length === 0) return undefined;
  const { b_info } = parse.domain;
  const totals = { vcpus: 0, memkb: 0 };
  for (const spec of list.values) {
    if (spec.kind !== "list") {
      warnNotList(parse, spec);
      return die(parse, "xl: cannot get vnode config option list\n");
    }
    const distances = list.values.map(() => 0);
    const node = { memkb: null, distances, pnode: 0, vcpus: [] as number[] };
    const vnuma = { node, vcpus: allocCpuBitmap(parse.environment.host, b_info.max_vcpus), totals };
    for (const option of spec.values) {
      const code = option.kind === "atom" ? parseOption(parse, vnuma, option.text) : undefined;
      if (code !== undefined) return code;
    }
    node.vcpus = cpuBitmapBits(vnuma.vcpus);
    b_info.vnuma_nodes.push(node);
  }
  return checkTotals(parse, totals);
};

function parseOption(parse: Parse, vnuma: Vnuma, text: string): number | undefined {
  const [untrimmedName, untrimmedValue] = strtok(text, "=");
  if (untrimmedName === undefined || untrimmedValue === undefined) {
    return die(parse, `xl: failed to split "${text}" into pair\n`);
  }
  const value = untrimmedValue.trim();
  const { node, totals } = vnuma;
  switch (untrimmedName.trim()) {
    case "pnode": {
      const pnode = parseUlong(parse, value);
      if (pnode === null) return 1;
      if (pnode >= BigInt(parse.environment.host.nodes.length)) {
        return die(parse, `xl: invalid pnode number: ${pnode}\n`);
      }
      node.pnode = Number(pnode);
      parse.domain.b_info.numa_placement = false;
      return undefined;
    }
    case "size": {
      const size = parseUlong(parse, value);
      if (size === null) return 1;
      node.memkb = Number(size << 10n);
      totals.memkb += node.memkb;
      return undefined;
    }
    case "vcpus":
      parseVcpus(vnuma, value);
      return undefined;
    case "vdistances":
      for (const [index, text] of strtok(value, ",").entries()) {
        const distance = parseUlong(parse, text);
        if (distance === null) return 1;
        if (index < node.distances.length) node.distances[index] = uint32(distance);
      }
      return undefined;
    default:
      return undefined;
  }
}

/** Ranges of vCPUs; what is no range counts as the number strtoul finds at its start. */
function parseVcpus(vnuma: Vnuma, value: string): void {
  for (const text of strtok(value, ",")) {
    const start = Number(strtoul(text, 10).value);
    const range = parseRange(text) ?? { first: start, last: start };
    vnuma.totals.vcpus += range.last - range.first + 1;
    const last = Math.min(range.last, vnuma.vcpus.size - 1);
    for (let vcpu = range.first; vcpu <= last; vcpu++) vnuma.vcpus.bits.add(vcpu);
  }
}

function parseUlong(parse: Parse, text: string): bigint | null {
  const { value, end } = strtoul(text, 10);
  if (end > 0 && value !== 2n ** 64n - 1n) return value;
  parse.stderr += `xl: failed to convert "${text}" to number\n`;
  return null;
}

function checkTotals(parse: Parse, totals: { vcpus: number; memkb: number }): number | undefined {
  const { b_info } = parse.domain;
  if (b_info.max_vcpus !== 0) {
    if (b_info.max_vcpus !== totals.vcpus) return die(parse, "xl: vnuma vcpus and maxvcpus= mismatch\n");
  } else {
    if (parse.environment.host.onlineCpus < totals.vcpus) {
      return die(parse, "xl: vnuma specifies more vcpus than pcpus, use maxvcpus= to override this check.\n");
    }
    b_info.max_vcpus = int32(BigInt(totals.vcpus));
  }
  if (b_info.max_memkb !== null && b_info.max_memkb !== totals.memkb) {
    return die(parse, "xl: maxmem and vnuma memory size mismatch\n");
  }
  b_info.max_memkb = totals.memkb;
  return undefined;
}
