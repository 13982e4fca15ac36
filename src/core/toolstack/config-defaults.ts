// SPDX-License-Identifier: Apache-2.0
//
// What libxl settles for itself where a configuration says nothing
// (tools/libs/light/libxl_create.c, libxl__domain_config_setdefault).

import type { DomainBuildInfo, DomainConfig, DomainCreateInfo } from "./xlcfg/domain-config.ts";

/** A configuration that cannot be, in libxl's words: it is ERROR_INVAL. */
export interface Unsettled {
  where: string;
  text: string;
}

const DEFAULT_MEMKB = 32 * 1024;
const EVENT_CHANNELS = 1023;
/** The highest grant table version, where the host's limit is not asked. */
const GRANT_VERSION = 2;

/** The kernel a guest gets that names none: the one whose behaviour its command line chooses. */
export const BUILTIN_KERNEL = "xenolith:linux";

/** The label of a domain that was given none (xen/xsm/flask). */
const SECINITSID_DOMU = 12;

/** Video memory in KiB by the kind of display adapter QEMU shows. */
const VIDEO_MEMKB: { readonly [kind: string]: number } = { none: 0, qxl: 128 * 1024, std: 16 * 1024 };
const CIRRUS_MEMKB = 8 * 1024;

function videoMemkb(b: DomainBuildInfo): number {
  if (b.u.type !== "hvm") return 0;
  return b.video_memkb ?? VIDEO_MEMKB[b.u.vga.kind] ?? CIRRUS_MEMKB;
}

/**
 * Paging memory in KiB: 1 MiB a vCPU, and a page per MiB for each of p2m and shadows
 * (libxl__get_required_paging_memory).
 */
export function requiredPagingMemory(maxMemkb: number, vcpus: number, type: string, hap: boolean): number {
  const perMebibyte = (type === "pv" ? 0 : 1) + (hap ? 0 : 1);
  return 4 * (256 * vcpus + perMebibyte * Math.floor(maxMemkb / 1024));
}

function settleCreateInfo(c: DomainCreateInfo): DomainCreateInfo {
  const hap = c.type === "pv" ? false : (c.hap ?? true);
  return {
    ...c,
    ssidref: c.ssidref || SECINITSID_DOMU,
    hap: c.type === "pv" ? c.hap : hap,
    oos: c.type === "pv" ? c.oos : (c.oos ?? !hap),
    run_hotplug_scripts: c.run_hotplug_scripts ?? true,
    driver_domain: c.driver_domain ?? false,
    passthrough: c.passthrough === "default" ? "disabled" : c.passthrough,
    xend_suspend_evtchn_compat: c.xend_suspend_evtchn_compat ?? false,
  };
}

function settleBuildInfo(b: DomainBuildInfo, c: DomainCreateInfo): DomainBuildInfo {
  const maxVcpus = b.max_vcpus || 1;
  const maxMemkb = b.max_memkb ?? DEFAULT_MEMKB;
  return {
    ...b,
    device_model_stubdomain: b.device_model_stubdomain ?? false,
    vpmu: b.vpmu ?? false,
    device_model_version: b.device_model_version === "unknown" ? "qemu_xen" : b.device_model_version,
    blkdev_start: b.blkdev_start ?? "xvda",
    max_vcpus: maxVcpus,
    avail_vcpus: b.avail_vcpus.length > 0 ? b.avail_vcpus : [0],
    numa_placement: b.numa_placement ?? true,
    max_memkb: maxMemkb,
    target_memkb: b.target_memkb ?? maxMemkb,
    video_memkb: videoMemkb(b),
    shadow_memkb: b.shadow_memkb ?? requiredPagingMemory(maxMemkb, maxVcpus, c.type, c.hap === true),
    iommu_memkb: b.iommu_memkb ?? 0,
    stubdomain_memkb: b.stubdomain_memkb ?? 0,
    claim_mode: b.claim_mode ?? false,
    localtime: b.localtime ?? false,
    disable_migrate: b.disable_migrate ?? false,
    event_channels: b.event_channels || EVENT_CHANNELS,
    max_grant_version: b.max_grant_version ?? GRANT_VERSION,
    kernel: b.kernel ?? (b.bootloader === null && c.type !== "hvm" ? BUILTIN_KERNEL : null),
    dm_restrict: b.dm_restrict ?? false,
    arch_x86: { msr_relaxed: b.arch_x86.msr_relaxed ?? false },
  };
}

function refusal({ c_info: c, b_info: b }: DomainConfig): Unsettled | null {
  const where = (line: number): string => `libxl_create.c:${line}:libxl__domain_config_setdefault`;
  const pod = c.type !== "pv" && (b.target_memkb ?? 0) < (b.max_memkb ?? 0);
  // The machine has no IOMMU.
  if (c.passthrough !== "disabled")
    return { where: where(1160), text: "passthrough not supported on this platform\n" };
  if (pod && b.vnuma_nodes.length > 0)
    return { where: where(1205), text: "Cannot enable PoD and vNUMA at the same time" };
  if (c.type === "pv" && b.vnuma_nodes.length > 0)
    return { where: where(1215), text: "PV vNUMA is not yet supported" };
  if (c.type === "invalid")
    return { where: "libxl_create.c:83:libxl__domain_build_info_setdefault", text: "invalid domain type" };
  if (c.type === "hvm" && b.kernel === null && (b.ramdisk !== null || b.cmdline !== null)) {
    return {
      where: "libxl_create.c:172:libxl__domain_build_info_setdefault",
      text: "direct boot parameters specified but kernel missing",
    };
  }
  if (b.vpmu === true) return { where: where(1267), text: "vPMU not supported on this platform" };
  return null;
}

/** A configuration with everything settled, or why it cannot be. */
export function settleConfig(config: DomainConfig): DomainConfig | Unsettled {
  const c_info = settleCreateInfo(config.c_info);
  const settled = { ...config, c_info, b_info: settleBuildInfo(config.b_info, c_info) };
  return refusal(settled) ?? settled;
}
