// SPDX-License-Identifier: Apache-2.0
//
// What a Linux kernel asks of the hypervisor before anything else (Linux
// arch/x86/xen/enlighten_pv.c, setup.c; drivers/xen/events/events_base.c).

import { HVM_PARAM_CALLBACK_IRQ } from "../../abi/4.17/constants.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { initControl } from "../hypervisor/event-channel-op.ts";
import { setParam } from "../hypervisor/hvm-op.ts";
import { mapSharedFrames } from "../hypervisor/memory-op.ts";
import {
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_runstate_update_flag,
  VMASST_TYPE_writable_pagetables,
  vmAssist,
} from "../hypervisor/vm-assist.ts";

/** What a PV kernel switches on. */
const ASSISTS = [
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_writable_pagetables,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_runstate_update_flag,
];

/** Events come as this interrupt of each vCPU (HVM_PARAM_CALLBACK_TYPE_VECTOR, HYPERVISOR_CALLBACK_VECTOR). */
const CALLBACK_VIA = (2n << 56n) | 0xf3n;

/**
 * A kernel begins, in a new domain or in one that was restored: a PV kernel maps
 * shared_info and its grant frames and switches conveniences on; others say how
 * events are to reach them, by which a toolstack knows that they know Xen; every
 * kernel prefers FIFO queues for its events.
 */
export function startKernel(host: Host, domid: number): void {
  const kernel = { domid, process: "kernel" };
  if (must(host, domainCell, domid).type === "pv") {
    for (const type of ASSISTS) vmAssist(host, kernel, { type, enable: true });
    mapSharedFrames(host, kernel);
  } else {
    setParam(host, kernel, { domid, index: HVM_PARAM_CALLBACK_IRQ, value: CALLBACK_VIA });
  }
  initControl(host, kernel);
}
