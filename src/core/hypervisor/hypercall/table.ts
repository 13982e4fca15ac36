// SPDX-License-Identifier: Apache-2.0
//
// The hypercall page: numbers to families.

import * as X from "../../../abi/4.17/constants.ts";
import { hypfsOp, xsmOp } from "../absent.ts";
import { dmOpCall } from "./dm-op.ts";
import { domctlOp } from "./domctl.ts";
import { eventChannelOp } from "./event-channel.ts";
import { grantTableOp } from "./grant-table.ts";
import { hvmOp } from "./hvm.ts";
import { memoryOp } from "./memory.ts";
import { mmuextOp } from "./mmuext.ts";
import { unknownCommand } from "./operation.ts";
import type { Arrived, Family } from "./operation.ts";
import { platformOp } from "./platform.ts";
import { schedOp } from "./sched.ts";
import { sysctlOp } from "./sysctl.ts";
import { xenVersionOp } from "./xen-version.ts";

const families: { readonly [number: number]: Family } = {
  [X.__HYPERVISOR_platform_op]: platformOp,
  [X.__HYPERVISOR_memory_op]: memoryOp,
  [X.__HYPERVISOR_xen_version]: xenVersionOp,
  [X.__HYPERVISOR_grant_table_op]: grantTableOp,
  [X.__HYPERVISOR_xsm_op]: xsmOp,
  [X.__HYPERVISOR_hypfs_op]: hypfsOp,
  [X.__HYPERVISOR_mmuext_op]: mmuextOp,
  [X.__HYPERVISOR_sched_op]: schedOp,
  [X.__HYPERVISOR_event_channel_op]: eventChannelOp,
  [X.__HYPERVISOR_hvm_op]: hvmOp,
  [X.__HYPERVISOR_sysctl]: sysctlOp,
  [X.__HYPERVISOR_domctl]: domctlOp,
  [X.__HYPERVISOR_dm_op]: dmOpCall,
};

/** Whether this hypervisor was built without that hypercall: whoever makes it is refused, whatever the arguments. */
export function isAbsent(number: number): boolean {
  const family = families[number];
  return family === xsmOp || family === hypfsOp;
}

/** Takes a hypercall's arguments, whichever it is. Multicalls are the rim's: each part is a hypercall of its own. */
export function takeHypercall(number: number, call: Arrived): ReturnType<Family> {
  const family = families[number];
  return family === undefined ? unknownCommand("hypercall", "__HYPERVISOR_", number) : family(call);
}
