// SPDX-License-Identifier: Apache-2.0
//
// What of a configuration, whose defaults are set, decides how a domain is
// built and what its nodes say.

import type { DomainConfig } from "./xlcfg/domain-config.ts";

/** The parts of b_info that building looks at. Memory is in KiB. */
export type BuildConfig = {
  type: "hvm" | "pv" | "pvh";
  maxVcpus: number;
  availVcpus: readonly number[];
  /** Hard affinity by vCPU, where the configuration gives one. */
  hardAffinity: readonly (readonly number[])[];
  softAffinity: readonly (readonly number[])[];
  numaPlacement: boolean;
  poolid: number;
  maxMemkb: number;
  targetMemkb: number;
  videoMemkb: number;
  shadowMemkb: number;
  claim: boolean;
  kernel: string | null;
  ramdisk: string | null;
  cmdline: string | null;
  /** Whether the configuration names a scheduler, or the domain's pool is to be asked. */
  schedulerKnown: boolean;
  weight: number;
  cap: number;
};

/** What libxl adds to the target so that a domain can be ballooned up to it (LIBXL_MAXMEM_CONSTANT), in KiB. */
export const MAXMEM_CONSTANT = 1024;

/** Takes what building needs out of a settled configuration. */
export function buildConfig({ c_info: c, b_info: b }: DomainConfig): BuildConfig {
  return {
    type: c.type as BuildConfig["type"],
    maxVcpus: b.max_vcpus,
    availVcpus: b.avail_vcpus,
    hardAffinity: b.vcpu_hard_affinity,
    softAffinity: b.vcpu_soft_affinity,
    numaPlacement: b.numa_placement === true && b.vcpu_soft_affinity.length === 0 && b.nodemap.length === 0,
    poolid: c.poolid,
    maxMemkb: b.max_memkb ?? 0,
    targetMemkb: b.target_memkb ?? 0,
    videoMemkb: b.video_memkb ?? 0,
    shadowMemkb: b.shadow_memkb ?? 0,
    claim: b.claim_mode === true,
    kernel: b.kernel,
    ramdisk: b.ramdisk,
    cmdline: b.cmdline,
    schedulerKnown: b.sched_params.sched !== "unknown",
    weight: b.sched_params.weight,
    cap: b.sched_params.cap,
  };
}

/** What a domain may have of memory at most, in KiB, while it is being built. */
export function maxmemOf(build: BuildConfig): number {
  return build.targetMemkb + MAXMEM_CONSTANT;
}

/** What of a target the guest does not see as its own (libxl__get_targetmem_fudge), in KiB. */
export function targetFudge(type: string, maxMemkb: number, targetMemkb: number, videoMemkb: number): number {
  return videoMemkb + (type === "hvm" && maxMemkb > targetMemkb ? MAXMEM_CONSTANT : 0);
}

/** `memory/target` of a new domain. */
export function targetNode({ type, maxMemkb, targetMemkb, videoMemkb }: BuildConfig): number {
  return targetMemkb - targetFudge(type, maxMemkb, targetMemkb, videoMemkb);
}
