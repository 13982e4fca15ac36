// SPDX-License-Identifier: Apache-2.0
//
// sysctl: the binary form of cpupool_op and of scheduler_op, which is about pools.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../cpupool.ts";
import { writeBitmap } from "./bitmap-argument.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";
import type { SysctlCall } from "./sysctl-call.ts";

/** Where the union of struct xen_sysctl is. */
const U = abi.xen_sysctl.u.offset;

const info = query("sysctl cpupool_op info", op.cpupoolInfo);
const freeinfo = query("sysctl cpupool_op freeinfo", (host, caller, _args: null) =>
  op.cpupoolFreeinfo(host, caller),
);
const create = operation("sysctl cpupool_op create", op.cpupoolCreate);
const destroy = operation("sysctl cpupool_op destroy", op.cpupoolDestroy);
const addcpu = operation("sysctl cpupool_op addcpu", op.cpupoolAddcpu);
const rmcpu = operation("sysctl cpupool_op rmcpu", op.cpupoolRmcpu);
const movedomain = operation("sysctl cpupool_op movedomain", op.cpupoolMovedomain);
const getScheduler = query("sysctl scheduler_op getinfo", op.schedulerParams);
const putScheduler = operation("sysctl scheduler_op putinfo", op.setSchedulerParams);

function poolInfo({ view, memory, copyBack }: SysctlCall, cpupoolId: number): Prepared {
  const s = abi.xen_sysctl_cpupool_op;
  return prepare(info, { cpupoolId }, (pool) => {
    s.cpupool_id.set(view, pool.cpupoolId, U);
    s.sched_id.set(view, pool.schedId, U);
    s.n_dom.set(view, pool.nDom, U);
    const written = writeBitmap(memory, view, U + s.cpumap.offset, pool.cpus);
    return isFailure(written) ? written : copyBack();
  });
}

/** `XEN_SYSCTL_cpupool_op` */
export function cpupoolOp(call: SysctlCall): Prepared | Failure {
  const s = abi.xen_sysctl_cpupool_op;
  const { view, memory, copyBack } = call;
  const asked = s.cpupool_id.get(view, U);
  const cpu = s.cpu.get(view, U);
  switch (s.op.get(view, U)) {
    case X.XEN_SYSCTL_CPUPOOL_OP_INFO:
      return poolInfo(call, asked);
    case X.XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
      return prepare(freeinfo, null, (cpus) => {
        const written = writeBitmap(memory, view, U + s.cpumap.offset, cpus);
        return isFailure(written) ? written : copyBack();
      });
    case X.XEN_SYSCTL_CPUPOOL_OP_CREATE: {
      const cpupoolId = asked === X.XEN_SYSCTL_CPUPOOL_PAR_ANY ? null : asked;
      return prepare(create, { cpupoolId, schedId: s.sched_id.get(view, U) }, (made) => {
        s.cpupool_id.set(view, made.cpupoolId, U);
        return copyBack();
      });
    }
    case X.XEN_SYSCTL_CPUPOOL_OP_DESTROY:
      return prepare(destroy, { cpupoolId: asked });
    case X.XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
      return prepare(addcpu, { cpupoolId: asked, cpu });
    case X.XEN_SYSCTL_CPUPOOL_OP_RMCPU:
      return prepare(rmcpu, { cpupoolId: asked, cpu });
    case X.XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
      return prepare(movedomain, { cpupoolId: asked, domid: s.domid.get(view, U) });
    default:
      return fail("ENOSYS");
  }
}

/** `XEN_SYSCTL_scheduler_op` */
export function schedulerOp({ view, copyBack }: SysctlCall): Prepared | Failure {
  const s = abi.xen_sysctl_scheduler_op;
  const whose = { cpupoolId: s.cpupool_id.get(view, U), schedId: s.sched_id.get(view, U) };
  const ratelimit = s["u.sched_credit2.ratelimit_us"];
  const command = s.cmd.get(view, U);
  if (command === X.XEN_SYSCTL_SCHEDOP_getinfo) {
    return prepare(getScheduler, whose, ({ ratelimitUs }) => {
      ratelimit.set(view, ratelimitUs, U);
      return copyBack();
    });
  }
  if (command !== X.XEN_SYSCTL_SCHEDOP_putinfo) return fail("EINVAL");
  return prepare(putScheduler, { ...whose, ratelimitUs: ratelimit.get(view, U) });
}
