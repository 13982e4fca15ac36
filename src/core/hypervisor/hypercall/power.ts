// SPDX-License-Identifier: Apache-2.0
//
// sysctl get_pmstat and pm_op: what xenpm asks.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../power.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";
import type { SysctlCall } from "./sysctl-call.ts";

const U = abi.xen_sysctl.u.offset;

const maxCstate = query("sysctl pm_op get_max_cstate", op.maxCstate);
const setMaxCstate = operation("sysctl pm_op set_max_cstate", op.setMaxCstate);
const setSchedSmt = operation("sysctl pm_op set_sched_opt_smt", op.setSchedSmt);
const cpufreq = operation("sysctl pm_op", op.cpufreqOp);

export function getPmStat({ host, view }: SysctlCall): Failure {
  return op.pmStat(host, { cpuid: abi.xen_sysctl_get_pmstat.cpuid.get(view, U) });
}

/** What an operation on one processor is about. */
function aboutOf(command: number): op.CpufreqOp {
  if ((command & X.PM_PARA_CATEGORY_MASK) === X.CPUFREQ_PARA) return "parameter";
  const turbo = [X.XEN_SYSCTL_pm_op_enable_turbo, X.XEN_SYSCTL_pm_op_disable_turbo] as readonly number[];
  return turbo.includes(command) ? "turbo" : "unknown";
}

export function pmOp({ view, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_pm_op;
  const [command, cpuid] = [s.cmd.get(view, U), s.cpuid.get(view, U)];
  switch (command) {
    case X.XEN_SYSCTL_pm_op_set_sched_opt_smt: {
      const on = s["u.set_sched_opt_smt"].get(view, U) !== 0;
      return prepare(setSchedSmt, { cpuid, on }, (before) => {
        s["u.set_sched_opt_smt"].set(view, before ? 1 : 0, U);
        return copyBack();
      });
    }
    case X.XEN_SYSCTL_pm_op_get_max_cstate:
      return prepare(maxCstate, { which: cpuid }, (state) => {
        s["u.get_max_cstate"].set(view, state, U);
        return copyBack();
      });
    case X.XEN_SYSCTL_pm_op_set_max_cstate:
      return prepare(setMaxCstate, { which: cpuid, state: s["u.set_max_cstate"].get(view, U) });
    default:
      return prepare(cpufreq, { cpuid, what: aboutOf(command) });
  }
}
