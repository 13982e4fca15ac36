// SPDX-License-Identifier: Apache-2.0
//
// The configuration libxl keeps with a domain, as userdata "libxl-json", and
// what becomes of it (tools/libs/light/libxl_create.c, libxl_internal.c,
// libxl_domain.c; tools/xl/xl_vmcontrol.c).

import { domainConfig, type DomainBuildInfo, type DomainConfig } from "./domain-config.ts";
import type { Json } from "./idl.ts";
import { printJson } from "./json.ts";

/** INVALID_DOMID: the new domain takes whatever domid is free. */
export const invalidDomid = 0xffffffff;

/** What xl and libxl settle before anything is created; changes `config`. */
export function prepareForCreation(config: DomainConfig): void {
  const { domid } = config.c_info;
  if (domid === 0 || domid >= 0x7ff0) config.c_info.domid = invalidDomid;
  for (const disk of config.disks) disk.colo_restore_enable = false;
}

/**
 * The configuration to keep once a domain was built: as prepared, with what
 * only the building settled (libxl__update_domain_configuration). `built` is the
 * configuration with all defaults filled in.
 */
export function configToStore(prepared: DomainConfig, built: DomainConfig): DomainConfig {
  const stored = copy(prepared);
  for (const [index, nic] of stored.nics.entries()) {
    const from = built.nics[index];
    if (from !== undefined) Object.assign(nic, { devid: from.devid, mac: from.mac, nictype: from.nictype });
  }
  stored.c_info.uuid = built.c_info.uuid;
  stored.b_info.video_memkb = built.b_info.video_memkb;
  stored.b_info.arch_x86.msr_relaxed ??= built.b_info.arch_x86.msr_relaxed ?? false;
  return stored;
}

/** What libxl asks the running domain before it shows or saves its configuration. */
export interface LiveConfig {
  name: string;
  uuid: string;
  /** vCPUs whose availability in xenstore is "online". */
  availVcpus: readonly number[];
  /** memory/target and memory/static-max in xenstore, in KiB. */
  targetMemkb: number;
  staticMaxMemkb: number;
  scheduler: Pick<DomainBuildInfo["sched_params"], "sched"> & Partial<DomainBuildInfo["sched_params"]>;
}

/** LIBXL_MAXMEM_CONSTANT, KiB. */
const maxmemConstant = 1024;

/** A stored configuration brought up to date (libxl_retrieve_domain_configuration), devices aside. */
export function retrieveConfig(stored: DomainConfig, live: LiveConfig): DomainConfig {
  const config = copy(stored);
  const { b_info, c_info } = config;
  c_info.name = live.name;
  c_info.uuid = live.uuid;
  b_info.avail_vcpus = [...live.availVcpus];
  const populatesOnDemand = b_info.u.type === "hvm" && (b_info.max_memkb ?? 0) > (b_info.target_memkb ?? 0);
  b_info.target_memkb = live.targetMemkb + (b_info.video_memkb ?? 0) + (populatesOnDemand ? maxmemConstant : 0);
  b_info.max_memkb = live.staticMaxMemkb;
  b_info.sched_params = { ...domainConfig.init().b_info.sched_params, ...live.scheduler };
  return config;
}

/** A configuration as libxl-json, and as a save file carries it. */
export const configToJson = (config: DomainConfig): string => printJson(domainConfig.toJson(config));

/** A configuration from its JSON; undefined when it is none. */
export function configFromJson(text: string): DomainConfig | undefined {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
  const config = domainConfig.fromJson(json);
  // The guest's type is in c_info and again in b_info's union.
  return config === undefined || config.c_info.type !== config.b_info.u.type ? undefined : config;
}

/** A deep copy of plain data. */
function copy<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copy) as T;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, copy(field)])) as T;
}
