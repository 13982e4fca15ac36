// SPDX-License-Identifier: Apache-2.0
//
// HVMOP: what HVM and PVH domains and their device models agree on through the
// hypervisor (xen/arch/x86/hvm/hvm.c).

import * as X from "../../abi/4.17/constants.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { DOMID_SELF } from "./domid.ts";
import { HVM_NR_PARAMS, hvmParam, setHvmParam } from "./hvm-params.ts";

/** What a domain may not even be asked for any more, as nothing reads it. */
const DEPRECATED: readonly number[] = [
  X.HVM_PARAM_PAE_ENABLED,
  X.HVM_PARAM_DM_DOMAIN,
  X.HVM_PARAM_MEMORY_EVENT_CR0,
  X.HVM_PARAM_MEMORY_EVENT_CR3,
  X.HVM_PARAM_MEMORY_EVENT_CR4,
  X.HVM_PARAM_MEMORY_EVENT_INT3,
  X.HVM_PARAM_NESTEDHVM,
  X.HVM_PARAM_MEMORY_EVENT_SINGLE_STEP,
  X.HVM_PARAM_BUFIOREQ_EVTCHN,
  X.HVM_PARAM_MEMORY_EVENT_MSR,
];

/** What a domain may set and ask for of its own. */
const OWN: readonly number[] = [
  X.HVM_PARAM_CALLBACK_IRQ,
  X.HVM_PARAM_VM86_TSS,
  X.HVM_PARAM_VM86_TSS_SIZED,
  X.HVM_PARAM_ACPI_IOPORTS_LOCATION,
  X.HVM_PARAM_VM_GENERATION_ID_ADDR,
  X.HVM_PARAM_STORE_EVTCHN,
  X.HVM_PARAM_CONSOLE_EVTCHN,
  X.HVM_PARAM_X87_FIP_WIDTH,
];

/** What it may ask for beside them. */
const OWN_TO_READ: readonly number[] = [
  ...OWN,
  X.HVM_PARAM_STORE_PFN,
  X.HVM_PARAM_CONSOLE_PFN,
  X.HVM_PARAM_ALTP2M,
];

/** What is set once. */
const ONCE: readonly number[] = [
  X.HVM_PARAM_VIRIDIAN,
  X.HVM_PARAM_IOREQ_PFN,
  X.HVM_PARAM_BUFIOREQ_PFN,
  X.HVM_PARAM_IOREQ_SERVER_PFN,
  X.HVM_PARAM_NR_IOREQ_SERVER_PAGES,
  X.HVM_PARAM_ALTP2M,
  X.HVM_PARAM_MCA_CAP,
];

/** Frames a bit mask of them can tell of. */
const IOREQ_SERVER_PAGES_MAX = 64n;
/** The last of SHUTDOWN_*. */
const SHUTDOWN_MAX = 5n;
/** HVMPTM_one_missed_tick_pending. */
const TIMER_MODE_MAX = 3n;
/** XEN_ALTP2M_limited. */
const ALTP2M_MAX = 3n;

/** Whether a parameter can have that value (hvm_set_param). */
function possible(index: number, value: bigint): boolean {
  switch (index) {
    case X.HVM_PARAM_TIMER_MODE:
      return value <= TIMER_MODE_MAX;
    case X.HVM_PARAM_ACPI_S_STATE:
      return value === 0n || value === 3n;
    case X.HVM_PARAM_ALTP2M:
      return value <= ALTP2M_MAX;
    case X.HVM_PARAM_TRIPLE_FAULT_REASON:
      return value <= SHUTDOWN_MAX;
    case X.HVM_PARAM_NR_IOREQ_SERVER_PAGES:
      return value > 0n && value <= IOREQ_SERVER_PAGES_MAX;
    case X.HVM_PARAM_X87_FIP_WIDTH:
      return value === 0n || value === 4n || value === 8n;
    default:
      return true;
  }
}

/** The domain whose parameter is meant: EINVAL for an index there is not, ESRCH, EINVAL for PV, EPERM. */
function parameterOf(
  host: Host,
  caller: Caller,
  { domid, index }: { domid: number; index: number },
  own: readonly number[],
): DeepReadonly<Domain> | Failure {
  if (index < 0 || index >= HVM_NR_PARAMS) return fail("EINVAL");
  const d = domainById(host, domid === DOMID_SELF ? caller.domid : domid);
  if (d === undefined) return fail("ESRCH");
  if (d.type === "pv") return fail("EINVAL");
  const may = targeted(host, caller, domid);
  if (isFailure(may)) return may;
  if (DEPRECATED.includes(index)) return fail("EINVAL");
  return d.domid === caller.domid && !own.includes(index) ? fail("EPERM") : d;
}

/**
 * HVMOP_set_param. A domain may set some of its own (hvm_allow_set_param).
 *
 * @returns `parameterOf`'s errors; EEXIST for another value of what is set once, EINVAL for one it cannot have
 */
export function setParam(
  host: Host,
  caller: Caller,
  { domid, index, value }: { domid: number; index: number; value: bigint },
): 0 | Failure {
  const d = parameterOf(host, caller, { domid, index }, OWN);
  const result = isFailure(d) ? d : changeParam(host, d.domid, index, value);
  return traced(host, caller, "hvm_op set_param", domid, { index, value: String(value) }, result);
}

function changeParam(host: Host, domid: number, index: number, value: bigint): 0 | Failure {
  const old = hvmParam(host, domid, index);
  if (ONCE.includes(index) && old !== 0n && old !== value) return fail("EEXIST");
  if (!possible(index, value)) return fail("EINVAL");
  setHvmParam(host, domid, index, value);
  return 0;
}

/** HVMOP_get_param: `parameterOf`'s errors. A domain may ask for some of its own (hvm_allow_get_param). */
export function getParam(
  host: Host,
  caller: Caller,
  asked: { domid: number; index: number },
): bigint | Failure {
  const d = parameterOf(host, caller, asked, OWN_TO_READ);
  return isFailure(d) ? d : hvmParam(host, d.domid, asked.index);
}
