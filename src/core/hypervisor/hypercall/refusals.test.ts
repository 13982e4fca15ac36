// SPDX-License-Identifier: Apache-2.0
//
// Which error a hypercall ends with when several things are wrong with it: each
// row names the function of Xen 4.17 whose order of checks it holds.

import { describe, expect, test } from "vitest";
import * as X from "../../../abi/4.17/constants.ts";
import { hvmSave } from "../../../abi/4.17/hvm-save.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { setBig, viewOf } from "../../../abi/struct.ts";
import type { Field } from "../../../abi/struct.ts";
import type { Errno } from "../../engine/errno.ts";
import { isFailure } from "../../engine/errno.ts";
import type { Caller } from "../caller.ts";
import { createdomain } from "../domctl.ts";
import { machineOf, maxPage } from "../machine.ts";
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
  /** The PVH domain's kernel. */
  readonly own: Caller = { domid: this.pvh, process: "kernel" };
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

  /** Makes a hypercall of a command and one structure, which is put at the start of the caller's memory. */
  op(number: number, command: number, fill: Fill = () => {}, caller = xl): number | Errno {
    this.memory.bytes.fill(0);
    fill(viewOf(this.memory.bytes), 0);
    return errnoOf(this.call(caller, number, command, BASE));
  }

  memoryOp(command: number, fill?: Fill, caller?: Caller): number | Errno {
    return this.op(X.__HYPERVISOR_memory_op, command, fill, caller);
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

const [HARD, SOFT] = [1, 2];
const extended = abi.xen_domctl_vcpuextstate;
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
      "a set that has none of its processors, and another that is not there",
      "vcpu_affinity_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_setvcpuaffinity, h.pv, (view, at) => {
          fields(affinity, { flags: HARD | SOFT })(view, at);
          fields(abi.xenctl_bitmap, { bitmap: BASE + 512, nr_bits: 64 })(
            view,
            at + affinity.cpumap_hard.offset,
          );
          fields(abi.xenctl_bitmap, { bitmap: NOWHERE, nr_bits: 64 })(view, at + affinity.cpumap_soft.offset);
        }),
      "EINVAL",
    ],
    [
      "extended state of a vCPU that is not, into too little",
      "arch_do_domctl",
      (h) =>
        h.domctl(X.XEN_DOMCTL_getvcpuextstate, h.pv, fields(extended, { vcpu: 9, buffer: BASE, size: 1 })),
      "ESRCH",
    ],
    ["how much of it there is", "arch_do_domctl", (h) => h.domctl(X.XEN_DOMCTL_getvcpuextstate, h.pv), 0],
    [
      "one's own",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_getvcpuextstate, 0, fields(extended, { vcpu: 0 })),
      "EINVAL",
    ],
    [
      "extended state into too little, that is nowhere",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_getvcpuextstate, h.pv, fields(extended, { buffer: NOWHERE, size: 15 })),
      "EINVAL",
    ],
    [
      "extended state into nowhere",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_getvcpuextstate, h.pv, fields(extended, { buffer: NOWHERE, size: 16 })),
      "EFAULT",
    ],
    [
      "more extended state than the processor has, from nowhere",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_setvcpuextstate, h.pv, fields(extended, { buffer: NOWHERE, size: 17 })),
      "EINVAL",
    ],
    [
      "extended state that sets what it has not",
      "validate_xstate",
      (h) =>
        h.domctl(X.XEN_DOMCTL_setvcpuextstate, h.pv, (view, at) => {
          fields(extended, { buffer: BASE + 512, size: 16 })(view, at);
          view.setUint8(520, 3);
        }),
      "EINVAL",
    ],
    [
      "extended state of nothing",
      "arch_do_domctl",
      (h) => h.domctl(X.XEN_DOMCTL_setvcpuextstate, h.pv, fields(extended, { buffer: BASE + 512, size: 16 })),
      0,
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

const power = abi.xen_sysctl_pm_op;
const livepatch = abi.xen_sysctl_livepatch_op;

/** A patch's name, of `size` bytes, which is `patch` and a NUL. */
const patchNamed = (size: number) => (view: DataView, at: number) => {
  const name = room - BASE;
  for (const [i, byte] of [...Buffer.from("patch\0")].entries()) view.setUint8(name + i, byte);
  livepatch.cmd.set(view, X.XEN_SYSCTL_LIVEPATCH_GET, at);
  livepatch["u.get.name.name"].set(view, room, at);
  livepatch["u.get.name.size"].set(view, size, at);
};

const pm = (h: Table, cmd: number, cpuid: number): number | Errno =>
  h.sysctl(X.XEN_SYSCTL_pm_op, fields(power, { cmd, cpuid }));

describe("sysctl: power management and live patches", () => {
  held([
    [
      "states of a processor there is not",
      "do_get_pm_info",
      (h) => h.sysctl(X.XEN_SYSCTL_get_pmstat, fields(abi.xen_sysctl_get_pmstat, { cpuid: 999 })),
      "EINVAL",
    ],
    [
      "states nobody told Xen of",
      "do_get_pm_info",
      (h) => h.sysctl(X.XEN_SYSCTL_get_pmstat, fields(abi.xen_sysctl_get_pmstat, {})),
      "ENODEV",
    ],
    ["parameters of no governor", "do_pm_op", (h) => pm(h, X.CPUFREQ_PARA, 0), "EINVAL"],
    ["turbo", "cpufreq_update_turbo", (h) => pm(h, X.XEN_SYSCTL_pm_op_enable_turbo, 0), "EACCES"],
    [
      "turbo of a processor there is not",
      "do_pm_op",
      (h) => pm(h, X.XEN_SYSCTL_pm_op_enable_turbo, 999),
      "EINVAL",
    ],
    [
      "a delay there is no more",
      "do_pm_op",
      (h) => pm(h, X.XEN_SYSCTL_pm_op_get_vcpu_migration_delay, 0),
      "ENOSYS",
    ],
    ["the deepest idle state", "do_pm_op", (h) => pm(h, X.XEN_SYSCTL_pm_op_get_max_cstate, 0), 0],
    ["the deepest of nothing", "do_pm_op", (h) => pm(h, X.XEN_SYSCTL_pm_op_set_max_cstate, 2), "EINVAL"],
    [
      "threads of a core, but of all",
      "do_pm_op",
      (h) => pm(h, X.XEN_SYSCTL_pm_op_set_sched_opt_smt, 1),
      "EINVAL",
    ],
    [
      "a patch that is not there",
      "livepatch_get",
      (h) => h.sysctl(X.XEN_SYSCTL_livepatch_op, patchNamed(6)),
      "ENOENT",
    ],
    [
      "a patch whose name does not end",
      "get_name",
      (h) => h.sysctl(X.XEN_SYSCTL_livepatch_op, patchNamed(5)),
      "EINVAL",
    ],
    [
      "a patch without a name",
      "verify_name",
      (h) => h.sysctl(X.XEN_SYSCTL_livepatch_op, patchNamed(0)),
      "EINVAL",
    ],
    [
      "more patches than can be listed",
      "livepatch_list",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_livepatch_op,
          fields(livepatch, { cmd: X.XEN_SYSCTL_LIVEPATCH_LIST, "u.list.nr": 1025 }),
        ),
      "E2BIG",
    ],
    [
      "no more patches than can be listed",
      "livepatch_list",
      (h) =>
        h.sysctl(
          X.XEN_SYSCTL_livepatch_op,
          fields(livepatch, { cmd: X.XEN_SYSCTL_LIVEPATCH_LIST, "u.list.nr": 1024 }),
        ),
      0,
    ],
    [
      "what nobody knows of patches",
      "livepatch_op",
      (h) => h.sysctl(X.XEN_SYSCTL_livepatch_op, fields(livepatch, { cmd: 9 })),
      "EOPNOTSUPP",
    ],
    ["what code was run", "do_sysctl", (h) => h.sysctl(X.XEN_SYSCTL_coverage_op), "EOPNOTSUPP"],
  ]);
});

test("limits of idle states are kept, those of a level and those below it", () => {
  const h = new Table();
  const get = (which: number): number => {
    expect(pm(h, X.XEN_SYSCTL_pm_op_get_max_cstate, which)).toBe(0);
    return power["u.get_max_cstate"].get(viewOf(h.memory.bytes), abi.xen_sysctl.u.offset);
  };
  expect([get(0), get(1)]).toEqual([0xffff_ffff, 0xffff_ffff]);
  h.sysctl(
    X.XEN_SYSCTL_pm_op,
    fields(power, { cmd: X.XEN_SYSCTL_pm_op_set_max_cstate, cpuid: 1, "u.set_max_cstate": 3 }),
  );
  expect([get(0), get(1)]).toEqual([0xffff_ffff, 3]);
});

const machine = machineOf(new Called().world);

/** A command that says one extent of it is already done. */
const begun = (command: number): number => command + 64;
const { xen_memory_reservation: reservation, xen_add_to_physmap: physmap } = abi;

describe("memory_op", () => {
  held([
    ["a command nobody knows", "arch_memory_op", (h) => h.memoryOp(60), "ENOSYS"],
    [
      "memory for nobody",
      "do_memory_op",
      (h) =>
        h.memoryOp(
          X.XENMEM_populate_physmap,
          fields(reservation, { domid: NOBODY, nr_extents: 1, extent_start: room }),
        ),
      0,
    ],
    [
      "memory for another",
      "xsm_memory_adjust_reservation",
      (h) =>
        h.memoryOp(
          X.XENMEM_populate_physmap,
          fields(reservation, { domid: h.pvh, nr_extents: 1, extent_start: room }),
          h.guest,
        ),
      0,
    ],
    [
      "memory at frames that are not there",
      "populate_physmap",
      (h) =>
        h.memoryOp(
          X.XENMEM_populate_physmap,
          fields(reservation, { domid: h.pvh, nr_extents: 1, extent_start: NOWHERE }),
        ),
      0,
    ],
    [
      "memory below addresses of 12 bits",
      "construct_memop_from_reservation",
      (h) =>
        h.memoryOp(
          X.XENMEM_populate_physmap,
          fields(reservation, { domid: h.pvh, nr_extents: 1, extent_start: room, mem_flags: 12 }),
        ),
      0,
    ],
    [
      "memory of which a part is done",
      "do_memory_op",
      (h) =>
        h.memoryOp(
          begun(X.XENMEM_populate_physmap),
          fields(reservation, { domid: h.pvh, nr_extents: 2, extent_start: room }),
        ),
      2,
    ],
    ["the machine's memory", "do_memory_op", (h) => h.memoryOp(X.XENMEM_maximum_ram_page), maxPage(machine)],
    [
      "the machine's memory, of which a part is done",
      "do_memory_op",
      (h) => h.memoryOp(begun(X.XENMEM_maximum_ram_page)),
      "EINVAL",
    ],
    [
      "a memory map, of which a part is done",
      "arch_memory_op",
      (h) => h.memoryOp(begun(X.XENMEM_set_memory_map)),
      "ENOSYS",
    ],
    [
      "a foreign frame",
      "do_memory_op",
      (h) =>
        h.memoryOp(
          X.XENMEM_add_to_physmap,
          fields(physmap, { domid: NOBODY, space: X.XENMAPSPACE_gmfn_foreign }),
        ),
      "ENOSYS",
    ],
    [
      "a frame for a PV domain, by nobody",
      "xatp_permission_check",
      (h) => h.memoryOp(X.XENMEM_add_to_physmap, fields(physmap, { domid: h.pv }), h.guest),
      "EACCES",
    ],
    [
      "a frame of a space there is not",
      "xenmem_add_to_physmap_one",
      (h) => h.memoryOp(X.XENMEM_add_to_physmap, fields(physmap, { domid: h.pvh, space: 77 })),
      "EINVAL",
    ],
    [
      "frames beyond the last number",
      "xenmem_add_to_physmap",
      (h) =>
        h.memoryOp(
          X.XENMEM_add_to_physmap,
          fields(physmap, {
            domid: h.pvh,
            space: X.XENMAPSPACE_gmfn_range,
            size: 0xffff,
            idx: 2 ** 64 - 2048,
          }),
        ),
      "EOVERFLOW",
    ],
    [
      "taking a frame of a PV domain",
      "do_memory_op",
      (h) => h.memoryOp(X.XENMEM_remove_from_physmap, fields(abi.xen_remove_from_physmap, { domid: h.pv })),
      "EACCES",
    ],
    [
      "a promise to nobody",
      "do_memory_op",
      (h) => h.memoryOp(X.XENMEM_claim_pages, fields(reservation, { domid: NOBODY })),
      "EINVAL",
    ],
    [
      "a promise of large pages, by nobody",
      "do_memory_op",
      (h) => h.memoryOp(X.XENMEM_claim_pages, fields(reservation, { domid: h.pv, extent_order: 9 }), h.guest),
      "EINVAL",
    ],
    [
      "a memory map that is not there, for nobody",
      "arch_memory_op",
      (h) =>
        h.memoryOp(
          X.XENMEM_set_memory_map,
          fields(abi.xen_foreign_memory_map, { domid: NOBODY, "map.nr_entries": 1, "map.buffer": NOWHERE }),
        ),
      "ESRCH",
    ],
    [
      "a memory map that is not there",
      "arch_memory_op",
      (h) =>
        h.memoryOp(
          X.XENMEM_set_memory_map,
          fields(abi.xen_foreign_memory_map, { domid: h.pvh, "map.nr_entries": 1, "map.buffer": NOWHERE }),
        ),
      "EFAULT",
    ],
    [
      "one's own nodes",
      "do_memory_op",
      (h) =>
        h.memoryOp(
          X.XENMEM_get_vnumainfo,
          fields(abi.xen_vnuma_topology_info, { domid: X.DOMID_SELF }),
          h.guest,
        ),
      "EOPNOTSUPP",
    ],
    [
      "another's nodes",
      "xsm_get_vnumainfo",
      (h) =>
        h.memoryOp(X.XENMEM_get_vnumainfo, fields(abi.xen_vnuma_topology_info, { domid: h.pvh }), h.guest),
      "EPERM",
    ],
  ]);
});

const evtchn = (h: Table, command: number, fill: Fill, caller?: Caller): number | Errno =>
  h.op(X.__HYPERVISOR_event_channel_op, command, fill, caller);

describe("event_channel_op", () => {
  held([
    [
      "a port beyond those there are, of another",
      "evtchn_status",
      (h) => evtchn(h, X.EVTCHNOP_status, fields(abi.evtchn_status, { dom: h.pvh, port: 5000 }), h.guest),
      "EINVAL",
    ],
    [
      "a port of another",
      "xsm_evtchn_status",
      (h) => evtchn(h, X.EVTCHNOP_status, fields(abi.evtchn_status, { dom: h.pvh, port: 1 }), h.guest),
      "EPERM",
    ],
    [
      "unmasking a port that is free",
      "evtchn_unmask",
      (h) => evtchn(h, X.EVTCHNOP_unmask, fields(abi.evtchn_unmask, { port: 9 }), h.guest),
      0,
    ],
    [
      "unmasking a port beyond those there are",
      "evtchn_unmask",
      (h) => evtchn(h, X.EVTCHNOP_unmask, fields(abi.evtchn_unmask, { port: 5000 }), h.guest),
      "EINVAL",
    ],
  ]);
});

const param = abi.xen_hvm_param;
const hvm = (h: Table, command: number, fill: Fill, caller?: Caller): number | Errno =>
  h.op(X.__HYPERVISOR_hvm_op, command, fill, caller);

describe("hvm_op", () => {
  held([
    [
      "a parameter there is not, of nobody",
      "hvmop_set_param",
      (h) => hvm(h, X.HVMOP_set_param, fields(param, { domid: NOBODY, index: 39 })),
      "EINVAL",
    ],
    [
      "a parameter of a PV domain, by nobody",
      "hvmop_get_param",
      (h) => hvm(h, X.HVMOP_get_param, fields(param, { domid: h.pv }), h.guest),
      "EINVAL",
    ],
    [
      "a parameter of another",
      "xsm_hvm_param",
      (h) => hvm(h, X.HVMOP_get_param, fields(param, { domid: h.pvh }), h.guest),
      "EPERM",
    ],
    [
      "one that nothing reads any more",
      "hvm_allow_set_param",
      (h) => hvm(h, X.HVMOP_set_param, fields(param, { domid: h.pvh, index: X.HVM_PARAM_DM_DOMAIN })),
      "EINVAL",
    ],
    [
      "one's own store's page, to be set",
      "hvm_allow_set_param",
      (h) =>
        hvm(
          h,
          X.HVMOP_set_param,
          fields(param, { domid: X.DOMID_SELF, index: X.HVM_PARAM_STORE_PFN }),
          h.own,
        ),
      "EPERM",
    ],
    [
      "one's own store's page",
      "hvm_allow_get_param",
      (h) =>
        hvm(
          h,
          X.HVMOP_get_param,
          fields(param, { domid: X.DOMID_SELF, index: X.HVM_PARAM_STORE_PFN }),
          h.own,
        ),
      0,
    ],
    [
      "another value of what is set once",
      "hvm_allow_set_param",
      (h) => {
        const index = X.HVM_PARAM_IOREQ_PFN;
        hvm(h, X.HVMOP_set_param, setParam({ domid: h.pvh, index }, 5n));
        return hvm(h, X.HVMOP_set_param, setParam({ domid: h.pvh, index }, 6n));
      },
      "EEXIST",
    ],
    [
      "a reason for triple faults there is not",
      "hvm_set_param",
      (h) =>
        hvm(h, X.HVMOP_set_param, setParam({ domid: h.pvh, index: X.HVM_PARAM_TRIPLE_FAULT_REASON }, 6n)),
      "EINVAL",
    ],
  ]);
});

function setParam(values: { domid: number; index: number }, value: bigint): Fill {
  return (view, at) => {
    fields(param, values)(view, at);
    setBig(view, param.value, value, at);
  };
}

const mmuext = (h: Table, domid: number, commands: readonly number[], caller = xl): number | Errno => {
  h.memory.bytes.fill(0);
  const { sizeof, cmd } = abi.mmuext_op;
  for (const [i, command] of commands.entries()) cmd.set(viewOf(h.memory.bytes), command, i * sizeof);
  return errnoOf(h.call(caller, X.__HYPERVISOR_mmuext_op, BASE, commands.length, 0, domid));
};

const watchdog = (h: Table, id: number, timeout: number): number | Errno =>
  h.op(X.__HYPERVISOR_sched_op, X.SCHEDOP_watchdog, fields(abi.sched_watchdog, { id, timeout }));

describe("mmuext_op, sched_op and xen_version", () => {
  held([
    ["nothing, for nobody", "get_pg_owner", (h) => mmuext(h, NOBODY, []), "ESRCH"],
    ["nothing, for oneself by number", "get_pg_owner", (h) => mmuext(h, 0, []), "ESRCH"],
    ["tables of a domain that has none", "do_mmuext_op", (h) => mmuext(h, h.pvh, []), "EINVAL"],
    ["tables of another", "xsm_mmuext_op", (h) => mmuext(h, h.pv, [], h.guest), "EPERM"],
    ["what nobody knows", "do_mmuext_op", (h) => mmuext(h, h.pv, [99]), "ENOSYS"],
    [
      "what nobody knows, behind what is refused",
      "do_mmuext_op",
      (h) => mmuext(h, h.pv, [X.MMUEXT_UNPIN_TABLE, 99]),
      "EINVAL",
    ],
    [
      "shutting down a device model's own domain",
      "xsm_schedop_shutdown",
      (h) => {
        h.domctl(
          X.XEN_DOMCTL_set_target,
          h.guest.domid,
          fields(abi.xen_domctl_set_target, { target: h.pvh }),
        );
        const fill = fields(abi.sched_remote_shutdown, { domain_id: h.pvh });
        return h.op(X.__HYPERVISOR_sched_op, X.SCHEDOP_remote_shutdown, fill, h.guest);
      },
      0,
    ],
    [
      "shutting oneself down as another",
      "xsm_schedop_shutdown",
      (h) => {
        const fill = fields(abi.sched_remote_shutdown, { domain_id: h.guest.domid });
        return h.op(X.__HYPERVISOR_sched_op, X.SCHEDOP_remote_shutdown, fill, h.guest);
      },
      "EPERM",
    ],
    [
      "shutting dom0 down, by dom0",
      "xsm_schedop_shutdown",
      (h) => h.op(X.__HYPERVISOR_sched_op, X.SCHEDOP_remote_shutdown),
      0,
    ],
    ["a watchdog", "domain_watchdog", (h) => watchdog(h, 0, 1), 1],
    ["a watchdog that does not run", "domain_watchdog", (h) => watchdog(h, 1, 1), "EINVAL"],
    [
      "a third watchdog",
      "domain_watchdog",
      (h) => [0, 0, 0].map(() => watchdog(h, 0, 1)).at(-1) ?? 0,
      "ENOSPC",
    ],
    [
      "the size of a page, to somewhere",
      "do_xen_version",
      (h) => h.op(X.__HYPERVISOR_xen_version, X.XENVER_pagesize),
      "EINVAL",
    ],
    [
      "the hypervisor's build, by a guest",
      "xsm_xen_version",
      (h) => h.op(X.__HYPERVISOR_xen_version, X.XENVER_build_id, undefined, h.guest),
      "EPERM",
    ],
    [
      "the hypervisor's build, without room",
      "do_xen_version",
      (h) => h.op(X.__HYPERVISOR_xen_version, X.XENVER_build_id),
      "EINVAL",
    ],
  ]);
});

test("a guest is told who it is and what Xen does for it, not how Xen was started", () => {
  const h = new Table();
  const read = (command: number, length: number, caller = xl): Uint8Array => {
    expect(h.op(X.__HYPERVISOR_xen_version, command, undefined, caller)).toBe(0);
    return h.memory.bytes.slice(0, length);
  };
  expect(new TextDecoder().decode(read(X.XENVER_commandline, 9, h.guest))).toBe("<denied>\0");
  h.domctl(X.XEN_DOMCTL_setdomainhandle, h.guest.domid, (view, at) => view.setUint8(at, 0xab));
  expect(read(X.XENVER_guest_handle, 2, h.guest)).toEqual(Uint8Array.of(0xab, 0));
  const submap = (caller: Caller): number =>
    abi.xen_feature_info.submap.get(viewOf(read(X.XENVER_get_features, 8, caller)));
  expect(submap(xl)).toBe(submap(h.guest) | (1 << X.XENFEAT_dom0));
  expect(submap(h.own) & (1 << X.XENFEAT_auto_translated_physmap)).not.toBe(0);
});

test("who asks for what is not here is told of by name", () => {
  const h = new Table();
  h.control(abi.xen_domctl, X.XEN_DOMCTL_memory_mapping, h.pvh);
  expect(h.call(xl, X.__HYPERVISOR_domctl, BASE)).toEqual({
    errno: "ENOSYS",
    unknown: "domctl memory_mapping (39)",
  });
  expect(h.call(xl, X.__HYPERVISOR_memory_op, X.XENMEM_exchange, BASE)).toMatchObject({
    unknown: "memory_op exchange (11)",
  });
  h.control(abi.xen_sysctl, X.XEN_SYSCTL_perfc_op);
  expect(h.call(xl, X.__HYPERVISOR_sysctl, BASE)).toMatchObject({ unknown: "sysctl perfc_op (5)" });
  expect(h.call(xl, X.__HYPERVISOR_physdev_op, 0, BASE)).toMatchObject({
    unknown: "hypercall physdev_op (33)",
  });
});
