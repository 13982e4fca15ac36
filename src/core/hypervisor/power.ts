// SPDX-License-Identifier: Apache-2.0
//
// Power management (xen/drivers/acpi/pmstat.c) of a machine whose dom0 has told Xen
// of no processor's states, as one in a virtual machine: there is nothing to govern,
// but limits can be set.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "./caller.ts";
import { printk } from "./console-ring.ts";
import { machineOf } from "./machine.ts";

/** XEN_SYSCTL_CX_UNLIMITED */
const UNLIMITED = 0xffff_ffff;

/** What was set; no cell before. */
interface PowerLimits {
  /** The deepest idle state, and the deepest below the last one that is allowed. */
  cstate: number;
  substate: number;
  smtSavings: boolean;
}

const powerLimitsCell = cellType<PowerLimits>("power-limits");

const UNSET: PowerLimits = { cstate: UNLIMITED, substate: UNLIMITED, smtSavings: false };

function limitsOf(cells: Cells): Readonly<PowerLimits> {
  return cells.get(powerLimitsCell, 0) ?? UNSET;
}

function change(host: Host): PowerLimits {
  if (host.get(powerLimitsCell, 0) === undefined) host.add(powerLimitsCell, 0, { ...UNSET });
  return host.edit(powerLimitsCell, 0);
}

/** XEN_SYSCTL_get_pmstat: EINVAL for no processor, ENODEV: nobody has told of states (do_get_pm_info). */
export function pmStat(host: Host, { cpuid }: { cpuid: number }): Failure {
  return fail(cpuid >= machineOf(host).nrCpus ? "EINVAL" : "ENODEV");
}

/** The deepest idle state (`which` 0), or below it (1); EINVAL for another. */
export function maxCstate(host: Host, _caller: Caller, { which }: { which: number }): number | Failure {
  const { cstate, substate } = limitsOf(host);
  return which > 1 ? fail("EINVAL") : which === 0 ? cstate : substate;
}

/** Sets it. */
export function setMaxCstate(
  host: Host,
  _caller: Caller,
  { which, state }: { which: number; state: number },
): 0 | Failure {
  if (which > 1) return fail("EINVAL");
  if (which === 0) change(host).cstate = state;
  else change(host).substate = state;
  return 0;
}

/** Whether threads of a core are filled first, to save power; gives what was before. EINVAL but for processor 0. */
export function setSchedSmt(
  host: Host,
  _caller: Caller,
  { cpuid, on }: { cpuid: number; on: boolean },
): boolean | Failure {
  if (cpuid !== 0) return fail("EINVAL");
  const before = limitsOf(host).smtSavings;
  change(host).smtSavings = on;
  return before;
}

/** What is asked of one processor that no governor has. */
export type CpufreqOp = "parameter" | "turbo" | "unknown";

/** EINVAL for no processor and for its parameters, EACCES for turbo (cpufreq_update_turbo), ENOSYS. */
export function cpufreqOp(
  host: Host,
  _caller: Caller,
  { cpuid, what }: { cpuid: number; what: CpufreqOp },
): Failure {
  if (cpuid >= machineOf(host).nrCpus || what === "parameter") return fail("EINVAL");
  if (what === "turbo") return fail("EACCES");
  printk(host, "not defined sub-hypercall @ do_pm_op");
  return fail("ENOSYS");
}
