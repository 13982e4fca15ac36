// SPDX-License-Identifier: Apache-2.0
//
// Binary hypercalls on a hypervisor without a toolstack: a few by hand, and any
// garbage at all.

import fc from "fast-check";
import { expect, test } from "vitest";
import * as X from "../../../abi/4.17/constants.ts";
import { hvmSave } from "../../../abi/4.17/hvm-save.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, setBig, viewOf, zeroed } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Caller } from "../caller.ts";
import { checkLedger } from "../check-ledger.ts";
import { domainById, domainCell, domainPagesCell, forEachDomain } from "../domain.ts";
import { BASE, Called, xl } from "./testing.ts";

test("a domain is created, told of, given memory and destroyed by binary hypercalls", () => {
  const host = new Called();
  const domid = host.makePvh();
  expect(domid).toBe(1);
  const r = abi.xen_memory_reservation;
  const view = zeroed(r);
  r.extent_start.set(view, BASE + 1024);
  r.nr_extents.set(view, 3);
  r.domid.set(view, domid);
  host.memory.bytes.set(bytesOf(view));
  const frames = viewOf(host.memory.bytes);
  for (const [i, gfn] of [16, 32, 33].entries()) frames.setBigUint64(1024 + i * 8, BigInt(gfn), true);
  expect(host.call(xl, X.__HYPERVISOR_memory_op, X.XENMEM_populate_physmap, BASE)).toBe(3);
  // A translated domain's builder keeps its own frame numbers.
  expect(frames.getBigUint64(1024, true)).toBe(16n);

  const info = host.control(abi.xen_domctl, X.XEN_DOMCTL_getdomaininfo, domid);
  expect(host.call(xl, X.__HYPERVISOR_domctl, BASE)).toBe(0);
  const s = abi.xen_domctl_getdomaininfo;
  const U = abi.xen_domctl.u.offset;
  expect([s.domain, s.tot_pages, s.max_pages, s.max_vcpu_id].map((field) => field.get(info, U))).toEqual([
    1, 3, 1024, 1,
  ]);
  expect(s.flags.get(info, U) & X.XEN_DOMINF_hvm_guest).toBe(X.XEN_DOMINF_hvm_guest);

  host.control(abi.xen_domctl, X.XEN_DOMCTL_destroydomain, domid);
  expect(host.call(xl, X.__HYPERVISOR_domctl, BASE)).toBe(0);
  host.settle();
  expect(domainById(host.world, domid)).toBeUndefined();
  host.control(abi.xen_domctl, X.XEN_DOMCTL_destroydomain, domid);
  expect(host.call(xl, X.__HYPERVISOR_domctl, BASE)).toEqual(fail("ESRCH"));
});

test("tools of another version are told so before anything else", () => {
  const host = new Called();
  for (const [struct, number] of [
    [abi.xen_domctl, X.__HYPERVISOR_domctl],
    [abi.xen_sysctl, X.__HYPERVISOR_sysctl],
  ] as const) {
    struct.interface_version.set(host.control(struct, 99), 0x14);
    expect(host.call(xl, number, BASE)).toEqual(fail("EACCES"));
    host.control(struct, 99);
    expect(host.call(xl, number, BASE)).toMatchObject({
      errno: "ENOSYS",
      unknown: expect.stringContaining("99"),
    });
  }
});

test("an HVM context is given back as it was merged, and its vCPUs are up", () => {
  const host = new Called();
  const domid = host.makePvh();
  const U = abi.xen_domctl.u.offset;
  const s = abi.xen_domctl_hvmcontext;
  const buffer = BASE + 256;
  const get = (): Uint8Array => {
    const view = host.control(abi.xen_domctl, X.XEN_DOMCTL_gethvmcontext, domid);
    s.buffer.set(view, buffer, U);
    s.size.set(view, 7000, U);
    expect(host.call(xl, X.__HYPERVISOR_domctl, BASE)).toBe(0);
    return host.memory.bytes.slice(256, 256 + s.size.get(view, U));
  };
  const whole = get();
  // The header's record, then vCPU 0's registers with an instruction pointer.
  const header = abi.hvm_save_descriptor.sizeof + abi.hvm_save_header.sizeof;
  const cpu = abi.hvm_save_descriptor.sizeof + abi.hvm_hw_cpu.sizeof;
  const given = new Uint8Array(header + cpu + abi.hvm_save_descriptor.sizeof);
  given.set(whole.subarray(0, header));
  // A vCPU that is down has no registers, so there is no record of it to begin with.
  abi.hvm_save_descriptor.typecode.set(viewOf(given), hvmSave.CPU.typecode, header);
  abi.hvm_save_descriptor.length.set(viewOf(given), hvmSave.CPU.length, header);
  setBig(viewOf(given), abi.hvm_hw_cpu.rip, 0xc0ffeen, header + abi.hvm_save_descriptor.sizeof);
  const view = host.control(abi.xen_domctl, X.XEN_DOMCTL_sethvmcontext, domid);
  host.memory.bytes.set(given, 256);
  s.buffer.set(view, buffer, U);
  s.size.set(view, given.length, U);
  expect(host.call(xl, X.__HYPERVISOR_domctl, BASE)).toBe(0);
  const after = get();
  expect(after.subarray(0, header + cpu)).toEqual(given.subarray(0, header + cpu));
  expect(after.subarray(header + cpu)).toEqual(whole.subarray(header));
  expect(host.world.get(domainCell, domid)?.nrVcpus).toBe(2);
});

test("where a guest frame cannot be, none is put: 4 TiB, and the last number there is", () => {
  const host = new Called();
  const domid = host.makePvh();
  const s = abi.xen_add_to_physmap;
  const add = (gpfn: bigint): unknown => {
    host.memory.bytes.fill(0);
    const view = viewOf(host.memory.bytes);
    s.domid.set(view, domid);
    s.space.set(view, X.XENMAPSPACE_grant_table);
    s.idx.set(view, 0);
    setBig(view, s.gpfn, gpfn);
    return host.call(xl, X.__HYPERVISOR_memory_op, X.XENMEM_add_to_physmap, BASE);
  };
  expect(add(2n ** 30n - 1n)).toBe(0);
  for (const gpfn of [2n ** 30n, 2n ** 52n, 2n ** 64n - 1n]) expect(add(gpfn)).toEqual(fail("EINVAL"));
});

test("of a PCI device nobody has, the node is not told", () => {
  const host = new Called();
  const U = abi.xen_sysctl.u.offset;
  const s = abi.xen_sysctl_pcitopoinfo;
  const ask = (devices: number): unknown => {
    const view = host.control(abi.xen_sysctl, X.XEN_SYSCTL_pcitopoinfo);
    s.num_devs.set(view, 2, U);
    s.devs.set(view, devices, U);
    s.nodes.set(view, BASE + 512, U);
    return host.call(xl, X.__HYPERVISOR_sysctl, BASE);
  };
  expect(ask(BASE + 256)).toBe(0);
  const nodes = viewOf(host.memory.bytes.slice(512, 520));
  expect([nodes.getUint32(0, true), nodes.getUint32(4, true)]).toEqual([
    X.XEN_INVALID_DEV,
    X.XEN_INVALID_DEV,
  ]);
  expect(ask(0)).toEqual(fail("EINVAL"));
});

/** Addresses in and around the caller's memory, counts and garbage. */
const word = fc.oneof(
  fc.integer({ min: BASE - 16, max: BASE + 9000 }),
  fc.nat(64),
  fc.nat(0xffffffff),
  fc.constantFrom(0xffff, 0x7ff0, 0x7ff1, 0x7ff2, 0x7fff, 2 ** 47, 2 ** 63, 2 ** 64),
);
const numbers = [
  ...[X.__HYPERVISOR_domctl, X.__HYPERVISOR_domctl, X.__HYPERVISOR_sysctl, X.__HYPERVISOR_memory_op],
  ...[
    X.__HYPERVISOR_event_channel_op,
    X.__HYPERVISOR_grant_table_op,
    X.__HYPERVISOR_hvm_op,
    X.__HYPERVISOR_mmuext_op,
  ],
  ...[X.__HYPERVISOR_sched_op, X.__HYPERVISOR_xen_version, X.__HYPERVISOR_xsm_op, 63],
  ...[X.__HYPERVISOR_dm_op, X.__HYPERVISOR_dm_op],
];
const garbage = fc.record({
  number: fc.constantFrom(...numbers),
  command: fc.nat(900),
  domid: fc.constantFrom(0, 1, 2, 3, 0x7ff0, 0xffff),
  words: fc.array(word, { minLength: 4, maxLength: 24 }),
});
type Garbage = typeof garbage extends fc.Arbitrary<infer G> ? G : never;

/** Commands the headers know, by hypercall: one in ten is any number at all. */
const commandNames: { readonly [number: number]: RegExp } = {
  [X.__HYPERVISOR_domctl]: /^XEN_DOMCTL_[a-z]/,
  [X.__HYPERVISOR_sysctl]: /^XEN_SYSCTL_[a-z]/,
  [X.__HYPERVISOR_memory_op]: /^XENMEM_[a-z]/,
  [X.__HYPERVISOR_event_channel_op]: /^EVTCHNOP_/,
  [X.__HYPERVISOR_grant_table_op]: /^GNTTABOP_/,
  [X.__HYPERVISOR_hvm_op]: /^HVMOP_/,
  [X.__HYPERVISOR_mmuext_op]: /^MMUEXT_/,
  [X.__HYPERVISOR_sched_op]: /^SCHEDOP_/,
  [X.__HYPERVISOR_xen_version]: /^XENVER_/,
  [X.__HYPERVISOR_dm_op]: /^XEN_DMOP_[a-z]/,
};

function commandOf({ number, command }: Garbage): number {
  const pattern = commandNames[number];
  if (pattern === undefined || command % 10 === 9) return command;
  const known = Object.entries(X).filter(([name]) => pattern.test(name));
  return known[command % known.length]?.[1] ?? command;
}

/** Makes the call so that it gets past the first look: right version, command and domain, garbage behind. */
function give(host: Called, caller: Caller, garbled: Garbage): number | Failure {
  const { number, domid, words } = garbled;
  const command = commandOf(garbled);
  const isControl = number === X.__HYPERVISOR_domctl || number === X.__HYPERVISOR_sysctl;
  const struct = number === X.__HYPERVISOR_sysctl ? abi.xen_sysctl : abi.xen_domctl;
  const view = host.control(struct, command, domid);
  const from = isControl ? struct.u.offset : 0;
  for (const [i, value] of words.entries())
    view.setBigUint64(from + i * 8, BigInt.asUintN(64, BigInt(value)), true);
  if (isControl) return host.call(caller, number, BASE);
  if (number === X.__HYPERVISOR_dm_op) {
    host.dmArgument(command, viewOf(host.memory.bytes.slice(0, 64)));
    return host.call(caller, number, domid, 2, BASE);
  }
  if (number === X.__HYPERVISOR_mmuext_op) return host.call(caller, number, BASE, 1, 0, domid);
  return host.call(caller, number, command, BASE, ...words);
}

test("garbage is an error each, and counts and ledgers stay right", () => {
  fc.assert(
    fc.property(fc.array(garbage, { minLength: 40, maxLength: 60 }), (calls) => {
      const host = new Called();
      host.makePvh();
      host.makeDomain(64);
      for (const one of calls) {
        const result = give(host, xl, one);
        expect(typeof result === "number" || isFailure(result)).toBe(true);
      }
      host.settle();
      for (const { domid } of forEachDomain(host.world)) expect(checkLedger(host.world, domid)).toEqual([]);
    }),
    { numRuns: 60 },
  );
}, 60_000);

test("a domain that controls no other changes none", () => {
  fc.assert(
    fc.property(fc.array(garbage, { minLength: 40, maxLength: 60 }), (calls) => {
      const host = new Called();
      const other = host.makePvh();
      const own = host.makeDomain(64);
      const before = JSON.stringify([
        host.world.get(domainCell, other),
        host.world.get(domainPagesCell, other),
      ]);
      for (const one of calls) give(host, { domid: own, process: "kernel" }, one);
      host.settle();
      expect(
        JSON.stringify([host.world.get(domainCell, other), host.world.get(domainPagesCell, other)]),
      ).toBe(before);
      expect([...forEachDomain(host.world)].map(({ domid }) => domid)).toEqual([0, other, own]);
    }),
    { numRuns: 40 },
  );
}, 60_000);
