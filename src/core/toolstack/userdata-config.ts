// SPDX-License-Identifier: Apache-2.0
//
// The configuration libxl keeps of a domain: what the user gave, and of what was
// settled later only what must stay the same when the domain is made again
// (tools/libs/light/libxl_internal.c, libxl__update_domain_configuration).

import type { DeepReadonly } from "../engine/cells.ts";
import { clonePlain } from "../engine/plain.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";

/** `given` with its UUID, its interfaces' addresses and numbers, and its video memory as they were settled. */
export function updatedConfig(
  given: DeepReadonly<DomainConfig>,
  settled: DeepReadonly<DomainConfig>,
): DomainConfig {
  const kept = clonePlain(given) as DomainConfig;
  kept.c_info.uuid = settled.c_info.uuid;
  kept.b_info.video_memkb = settled.b_info.video_memkb;
  kept.b_info.arch_x86.msr_relaxed = settled.b_info.arch_x86.msr_relaxed;
  for (const [index, nic] of kept.nics.entries()) {
    const { mac, devid, nictype } = settled.nics[index] as DeepReadonly<DomainConfig["nics"][number]>;
    Object.assign(nic, { mac, devid, nictype });
  }
  return kept;
}
