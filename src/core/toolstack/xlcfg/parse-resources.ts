// SPDX-License-Identifier: Apache-2.0
//
// What a domain gets: scheduling, memory, vCPUs and where they run, grant limits.

import { isFailure } from "../../engine/errno.ts";
import { allocCpuBitmap, cpuBitmapBits, parseCpuRange } from "./cpu-range.ts";
import { vuartTypes } from "./domain-config.ts";
import { die, takeInt, takeMebibytes, type Parse, type Section } from "./parse-context.ts";
import { getList, getLong, getString, leadingStrings, settingKind } from "./reader.ts";
import { enumFromString, int32 } from "./strtol.ts";
import { parseVnuma } from "./parse-vnuma.ts";
import { grantLimits, readGrantLimit } from "./xl-conf.ts";

/** sched_params, memory, vCPUs, affinity and grant limits. */
export const parseResources: Section = (parse) => {
  const { b_info } = parse.domain;
  const { conf } = parse.environment;
  b_info.blkdev_start = conf.blkdevStart;
  takeInt(parse, "cpu_weight", b_info.sched_params, "weight");
  for (const key of ["cap", "period", "slice", "latency", "extratime"] as const) {
    takeInt(parse, key, b_info.sched_params, key);
  }
  takeMebibytes(parse, "memory", b_info, "target_memkb");
  takeMebibytes(parse, "maxmem", b_info, "max_memkb");
  const code = parseVcpus(parse) ?? parseAffinity(parse, "cpus") ?? parseAffinity(parse, "cpus_soft");
  if (code !== undefined) return code;
  for (const [key, confField] of grantLimits) {
    const limit = readGrantLimit(parse, key, conf[confField]);
    if (limit === undefined) return 1;
    b_info[key] = limit;
  }
  b_info.claim_mode = conf.claimMode;
  return undefined;
};

function parseVcpus(parse: Parse): number | undefined {
  const { b_info } = parse.domain;
  let vcpus = 0;
  const given = getLong(parse, "vcpus");
  if (!isFailure(given)) {
    vcpus = Number(given);
    if (int32(given) < 0) {
      return die(
        parse,
        "libxl: error: libxl_utils.c:809:libxl_cpu_bitmap_alloc: invalid number of cpus provided\n" +
          "Unable to allocate cpumap\n",
      );
    }
    b_info.avail_vcpus = Array.from({ length: int32(given) }, (_, vcpu) => vcpu);
  }
  takeInt(parse, "maxvcpus", b_info, "max_vcpus");
  const vuart = getString(parse, "vuart");
  if (vuart !== null) {
    const type = enumFromString(vuartTypes, vuart);
    if (type === undefined) return die(parse, `ERROR: invalid value "${vuart}" for "vuart"\n`);
    b_info.arch_arm.vuart = type;
  }
  const code = parseVnuma(parse);
  if (code !== undefined) return code;
  b_info.max_memkb ??= b_info.target_memkb;
  if (b_info.max_vcpus === 0) b_info.max_vcpus = int32(BigInt(vcpus));
  return b_info.max_vcpus < vcpus ? die(parse, "xl: maxvcpus < vcpus\n") : undefined;
}

/**
 * cpus= and cpus_soft=: one text for all vCPUs, or a list with one entry a
 * vCPU, where entries for vCPUs that do not exist are ignored.
 */
function parseAffinity(parse: Parse, key: "cpus" | "cpus_soft"): number | undefined {
  const { b_info } = parse.domain;
  const { host } = parse.environment;
  const kind = settingKind(parse, key);
  if (kind === "missing") return undefined;
  const list = getList(parse, key, true);
  const texts =
    list === null ? [getString(parse, key) ?? ""] : leadingStrings(list).slice(0, b_info.max_vcpus);
  const maps: number[][] = [];
  for (const text of texts) {
    const bitmap = allocCpuBitmap(host);
    if (!parseCpuRange(parse, host, text, bitmap)) return 1;
    maps.push(cpuBitmapBits(bitmap));
  }
  const field = key === "cpus" ? "vcpu_hard_affinity" : "vcpu_soft_affinity";
  if (kind === "list") b_info[field] = maps;
  else b_info[field] = Array.from({ length: b_info.max_vcpus }, () => [...(maps[0] as number[])]);
  // A list, and any soft affinity, leaves nothing to place automatically.
  if (kind === "list" || key === "cpus_soft") b_info.numa_placement = false;
  return undefined;
}
