// SPDX-License-Identifier: Apache-2.0
//
// struct xen_domctl_getdomaininfo.

import * as abi from "../../../abi/4.17/layout.ts";
import type { DomainInfoReply } from "../dominfo.ts";
import { unhex } from "./caller-memory.ts";

/** Bits of a guest's physical addresses on this machine. */
const GUEST_ADDRESS_BITS = 46;

/** Writes what is known of a domain at `at`, which is zeroed. */
export function putDomainInfo(view: DataView, info: DomainInfoReply, at: number): void {
  const s = abi.xen_domctl_getdomaininfo;
  s.domain.set(view, info.domid, at);
  s.flags.set(view, info.flags, at);
  s.tot_pages.set(view, info.totPages, at);
  s.max_pages.set(view, info.maxPages, at);
  s.outstanding_pages.set(view, info.outstandingPages, at);
  s.shr_pages.set(view, 0, at);
  s.paged_pages.set(view, 0, at);
  s.shared_info_frame.set(view, info.sharedInfoFrame, at);
  s.cpu_time.set(view, info.cpuTime, at);
  s.nr_online_vcpus.set(view, info.nrOnlineVcpus, at);
  s.max_vcpu_id.set(view, info.maxVcpuId, at);
  s.ssidref.set(view, info.ssidref, at);
  s.handle.set(view, unhex(info.handle), at);
  s.cpupool.set(view, info.cpupool, at);
  s.gpaddr_bits.set(view, GUEST_ADDRESS_BITS, at);
  s["arch_config.emulation_flags"].set(view, info.emulationFlags, at);
  s["arch_config.misc_flags"].set(view, 0, at);
}
