// SPDX-License-Identifier: Apache-2.0
//
// Who makes a hypercall, what that lets it do, and the trace each one leaves.

import type { Cells } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainById, domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { DOMID_SELF } from "./domid.ts";

/** Who makes a hypercall. `process` is provenance: "xl.166", "xenstored", "kernel". */
export interface Caller {
  readonly domid: number;
  readonly process: string;
}

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /**
     * A hypercall that changes state, when it has ended. `op` and `args` are
     * named as Xen's headers name them ("domctl createdomain", `max_vcpus`);
     * `dom` is the domain asked for, `out` what came back beside the result.
     */
    hypercall: {
      caller: string;
      op: string;
      dom: number;
      args: { readonly [name: string]: number | string };
      result: number | Errno;
      out: { readonly [name: string]: number };
    };
  }
}

/** The caller in a trace and a ledger: "d0/xl.166". */
export function callerName(caller: Caller): string {
  return `d${caller.domid}/${caller.process}`;
}

/** Records a hypercall and hands its result through. */
export function traced<R>(
  host: Host,
  caller: Caller,
  op: string,
  dom: number,
  args: { readonly [name: string]: number | string },
  result: R | Failure,
  out: (result: R) => { [name: string]: number } = () => ({}),
): R | Failure {
  const data = { caller: callerName(caller), op, dom, args };
  if (isFailure(result)) host.emit("hypercall", { ...data, result: result.errno, out: {} });
  else host.emit("hypercall", { ...data, result: typeof result === "number" ? result : 0, out: out(result) });
  return result;
}

/** Whether the caller's domain may control others (is_control_domain). */
export function isPrivileged(cells: Cells, caller: Caller): boolean {
  return cells.get(domainCell, caller.domid)?.isPrivileged ?? false;
}

/** The domain a privileged caller means: EPERM for others, ESRCH where there is none (xsm/dummy.h, XSM_PRIV). */
export function controlled(cells: Cells, caller: Caller, domid: number): Domain | Failure {
  const d = domainById(cells, domid);
  if (d === undefined) return fail("ESRCH");
  return isPrivileged(cells, caller) ? d : fail("EPERM");
}

/**
 * The domain a caller means that is privileged, is that domain itself or has it
 * as its target (xsm/dummy.h, XSM_TARGET). DOMID_SELF is the caller's own.
 */
export function targeted(cells: Cells, caller: Caller, domid: number): Domain | Failure {
  const d = domainById(cells, domid === DOMID_SELF ? caller.domid : domid);
  if (d === undefined) return fail("ESRCH");
  const target = cells.get(domainCell, caller.domid)?.target;
  if (d.domid === caller.domid || d.domid === target || isPrivileged(cells, caller)) return d;
  return fail("EPERM");
}
