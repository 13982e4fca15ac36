// SPDX-License-Identifier: Apache-2.0
//
// Which error a hypercall ends with when several things are wrong with it: each
// row names the function of Xen 4.17 whose order of checks it holds.

import { describe, expect, test } from "vitest";
import * as X from "../../../abi/4.17/constants.ts";
import { hvmSave } from "../../../abi/4.17/hvm-save.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import type { Field } from "../../../abi/struct.ts";
import type { Errno } from "../../engine/errno.ts";
import { isFailure } from "../../engine/errno.ts";
import type { Caller } from "../caller.ts";
import { createdomain } from "../domctl.ts";
import { BASE, Called, xl } from "./testing.ts";

const NOWHERE = 0xdead_0000;
const NOBODY = 999;
const U = abi.xen_domctl.u.offset;

/** Puts values into a structure that starts at `at`. */
type Fill = (view: DataView, at: number) => void;

function fields<S extends object>(struct: S, values: { readonly [field in keyof S]?: number }): Fill {
  return (view, at) => {
    for (const [name, value] of Object.entries(values))
      (struct[name as keyof S] as Field<number>).set(view, value as number, at);
  };
}

/** A hypervisor with a PVH domain, a PV one, and one that controls nothing. */
class Table extends Called {
  readonly pvh = this.makePvh();
  readonly pv = this.makeDomain(64);
  readonly guest: Caller = { domid: this.makeDomain(64), process: "kernel" };

  /** Makes a domctl with its part of the union filled in. */
  domctl(command: number, domid: number, fill: Fill = () => {}, caller = xl): number | Errno {
    fill(this.control(abi.xen_domctl, command, domid), U);
    return errnoOf(this.call(caller, X.__HYPERVISOR_domctl, BASE));
  }

  /** Makes a sysctl with its part of the union filled in. */
  sysctl(command: number, fill: Fill = () => {}, caller = xl): number | Errno {
    fill(this.control(abi.xen_sysctl, command), abi.xen_sysctl.u.offset);
    return errnoOf(this.call(caller, X.__HYPERVISOR_sysctl, BASE));
  }
}

function errnoOf(result: number | { errno: Errno }): number | Errno {
  return isFailure(result) ? result.errno : result;
}

type Row = readonly [
  what: string,
  function_: string,
  call: (host: Table) => number | Errno,
  result: number | Errno,
];

/** What every one of the rows does on a hypervisor of its own. */
function held(rows: readonly Row[]): void {
  test.each(rows)("%s (%s)", (_what, _function, call, result) => {
    expect(call(new Table())).toBe(result);
  });
}

const HARD = 1;
const affinity = abi.xen_domctl_vcpuaffinity;
const shadow = abi.xen_domctl_shadow_op;

describe("domctl", () => {
  held([
    ["a command nobody knows, for nobody", "do_domctl", (h) => h.domctl(99, NOBODY), "ESRCH"],
    [
      "a command nobody knows, by nobody",
      "xsm_domctl",
      (h) => h.domctl(99, h.pv, undefined, h.guest),
      "EPERM",
    ],
    ["a command nobody knows", "arch_do_domctl", (h) => h.domctl(99, h.pv), "ENOSYS"],
    [
      "a context that is not there, for nobody",
      "do_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_setvcpucontext, NOBODY, fields(abi.xen_domctl_vcpucontext, { ctxt: NOWHERE })),
      "ESRCH",
    ],
    [
      "a context that is not there, for a vCPU that is not",
      "do_domctl",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_setvcpucontext,
          h.pv,
          fields(abi.xen_domctl_vcpucontext, { vcpu: 9, ctxt: NOWHERE }),
        ),
      "EINVAL",
    ],
    [
      "a context that is not there",
      "do_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_setvcpucontext, h.pv, fields(abi.xen_domctl_vcpucontext, { ctxt: NOWHERE })),
      "EFAULT",
    ],
    [
      "no set of processors, for a vCPU beyond the maximum",
      "vcpu_affinity_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_setvcpuaffinity, h.pv, fields(affinity, { vcpu: 9, flags: HARD })),
      "EINVAL",
    ],
    [
      "no set of processors, for a vCPU that was not made",
      "vcpu_affinity_domctl",
      (h) => {
        const domid = h.act((host) => createdomain(host, xl, { maxVcpus: 2 }));
        if (isFailure(domid)) throw new Error(domid.errno);
        return h.domctl(
          X.XEN_DOMCTL_getvcpuaffinity,
          domid.domid,
          fields(affinity, { vcpu: 1, flags: HARD }),
        );
      },
      "ESRCH",
    ],
    [
      "no set of processors",
      "vcpuaffinity_params_invalid",
      (h) => h.domctl(X.XEN_DOMCTL_getvcpuaffinity, h.pv, fields(affinity, { flags: HARD })),
      "EINVAL",
    ],
    [
      "a set of processors that is not there",
      "xenctl_bitmap_to_bitmap",
      (h) =>
        h.domctl(X.XEN_DOMCTL_setvcpuaffinity, h.pv, (view, at) => {
          fields(affinity, { flags: HARD })(view, at);
          fields(abi.xenctl_bitmap, { bitmap: NOWHERE, nr_bits: 64 })(view, at + affinity.cpumap_hard.offset);
        }),
      "EFAULT",
    ],
    [
      "a trigger that means nothing, for a vCPU that is not",
      "arch_do_domctl",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_sendtrigger,
          h.pv,
          fields(abi.xen_domctl_sendtrigger, { trigger: 77, vcpu: 9 }),
        ),
      "ESRCH",
    ],
    [
      "a trigger that means nothing",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_sendtrigger, h.pv, fields(abi.xen_domctl_sendtrigger, { trigger: 77 })),
      "ENOSYS",
    ],
    ["one's own clock", "arch_do_domctl", (h) => h.domctl(X.XEN_DOMCTL_gettscinfo, 0), "EINVAL"],
    [
      "one's own callbacks",
      "arch_do_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_set_ext_vcpucontext, 0, fields(abi.xen_domctl_ext_vcpucontext, { size: 8 })),
      "ESRCH",
    ],
    [
      "registers of a vCPU that is not PV's",
      "arch_do_domctl",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_set_vcpu_msrs,
          h.pvh,
          fields(abi.xen_domctl_vcpu_msrs, { msrs: NOWHERE, msr_count: 1 }),
        ),
      "EINVAL",
    ],
    [
      "more registers than Xen sends",
      "arch_do_domctl",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_set_vcpu_msrs,
          h.pv,
          fields(abi.xen_domctl_vcpu_msrs, { msrs: NOWHERE, msr_count: 99 }),
        ),
      "EINVAL",
    ],
    [
      "one's own paging",
      "paging_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_shadow_op, 0, fields(shadow, { op: 77 })),
      "EINVAL",
    ],
    [
      "paging that means nothing",
      "hap_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_shadow_op, h.pvh, fields(shadow, { op: 77 })),
      "EINVAL",
    ],
    [
      "dirty pages where nobody keeps them",
      "paging_log_dirty_op",
      (h) => h.domctl(X.XEN_DOMCTL_shadow_op, h.pv, fields(shadow, { op: X.XEN_DOMCTL_SHADOW_OP_CLEAN })),
      0,
    ],
    [
      "dirty pages in a way there is not",
      "paging_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_shadow_op, h.pv, fields(shadow, { op: X.XEN_DOMCTL_SHADOW_OP_PEEK, mode: 8 })),
      "EINVAL",
    ],
    ["one's own policy", "arch_do_domctl", (h) => h.domctl(X.XEN_DOMCTL_set_cpu_policy, 0), "EINVAL"],
    [
      "a policy that is not there",
      "update_domain_cpu_policy",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_set_cpu_policy,
          h.pvh,
          fields(abi.xen_domctl_cpu_policy, {
            leaves: NOWHERE,
            nr_leaves: 1,
          }),
        ),
      "EFAULT",
    ],
    [
      "one's own device model's domain",
      "do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_set_target, h.pv, fields(abi.xen_domctl_set_target, { target: h.pv })),
      "EINVAL",
    ],
    [
      "a device model of a domain that has no devices",
      "do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_set_target, h.pvh, fields(abi.xen_domctl_set_target, { target: h.pv })),
      "EOPNOTSUPP",
    ],
    [
      "a device model asks who its domain is",
      "xsm_getdomaininfo",
      (h) => {
        h.domctl(
          X.XEN_DOMCTL_set_target,
          h.guest.domid,
          fields(abi.xen_domctl_set_target, { target: h.pvh }),
        );
        return h.domctl(X.XEN_DOMCTL_getdomaininfo, h.pvh, undefined, h.guest);
      },
      0,
    ],
    [
      "registers of a vCPU that is down",
      "hvm_save_one",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_gethvmcontext_partial,
          h.pvh,
          fields(abi.xen_domctl_hvmcontext_partial, {
            type: hvmSave.CPU.typecode,
          }),
        ),
      "ENODATA",
    ],
    [
      "a device that a PVH domain has not",
      "hvm_save_one",
      (h) =>
        h.domctl(
          X.XEN_DOMCTL_gethvmcontext_partial,
          h.pvh,
          fields(abi.xen_domctl_hvmcontext_partial, {
            type: hvmSave.RTC.typecode,
          }),
        ),
      "ENOENT",
    ],
  ]);
});

const pool = abi.xen_sysctl_cpupool_op;
const room = BASE + 512;

describe("sysctl", () => {
  held([
    ["a command nobody knows, by nobody", "xsm_sysctl", (h) => h.sysctl(99, undefined, h.guest), "EPERM"],
    ["a command nobody knows", "arch_do_sysctl", (h) => h.sysctl(99), "ENOSYS"],
    [
      "where PCI devices are, by nobody",
      "xsm_sysctl",
      (h) => h.sysctl(X.XEN_SYSCTL_pcitopoinfo, undefined, h.guest),
      "EPERM",
    ],
    [
      "keys that are not there, by nobody",
      "xsm_sysctl",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_debug_keys,
          fields(abi.xen_sysctl_debug_keys, { keys: NOWHERE, nr_keys: 1 }),
          h.guest,
        ),
      "EPERM",
    ],
    [
      "features of a policy there is not, without an address",
      "arch_do_sysctl",
      (h) => h.sysctl(X.XEN_SYSCTL_get_cpu_featureset, fields(abi.xen_sysctl_cpu_featureset, { index: 99 })),
      0,
    ],
    [
      "features of a policy there is not",
      "arch_do_sysctl",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_get_cpu_featureset,
          fields(abi.xen_sysctl_cpu_featureset, { index: 99, features: room }),
        ),
      "EINVAL",
    ],
    [
      "features, into too little room",
      "arch_do_sysctl",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_get_cpu_featureset,
          fields(abi.xen_sysctl_cpu_featureset, { features: room, nr_features: 2 }),
        ),
      "ENOBUFS",
    ],
    [
      "any processor for a pool, where none is free",
      "cpupool_do_sysctl",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_cpupool_op,
          fields(pool, { op: X.XEN_SYSCTL_CPUPOOL_OP_ADDCPU, cpu: X.XEN_SYSCTL_CPUPOOL_PAR_ANY }),
        ),
      "ENODEV",
    ],
    [
      "any processor out of a pool",
      "cpupool_do_sysctl",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_cpupool_op,
          fields(pool, { op: X.XEN_SYSCTL_CPUPOOL_OP_RMCPU, cpu: X.XEN_SYSCTL_CPUPOOL_PAR_ANY }),
        ),
      0,
    ],
  ]);
});
