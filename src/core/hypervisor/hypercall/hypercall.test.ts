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
import type { Plain } from "../../engine/cells.ts";
import type { Caller } from "../caller.ts";
import { checkLedger } from "../check-ledger.ts";
import { domainById, domainCell, domainPagesCell, forEachDomain } from "../domain.ts";
import { CDF_hap, CDF_hvm } from "../create.ts";
import { TestHost } from "../testing.ts";
import type { CallerMemory } from "./caller-memory.ts";
import type { Prepared } from "./operation.ts";
import { endedCalls, endedSeen, hypercallMade, hypercallsOpened, lastResult } from "./perform.ts";
import { takeHypercall } from "./table.ts";

const BASE = 0x10000;
const xl: Caller = { domid: 0, process: "xl.1" };

/** A caller with a little memory, and everything else unmapped. */
class SmallMemory implements CallerMemory {
  readonly bytes = new Uint8Array(8192);

  read(address: number, length: number): Uint8Array | Failure {
    const at = address - BASE;
    return at < 0 || at + length > this.bytes.length ? fail("EFAULT") : this.bytes.slice(at, at + length);
  }

  write(address: number, bytes: Uint8Array): 0 | Failure {
    const at = address - BASE;
    if (at < 0 || at + bytes.length > this.bytes.length) return fail("EFAULT");
    this.bytes.set(bytes, at);
    return 0;
  }
}

/** A hypervisor that takes hypercalls as the bridge gives them. */
class Called extends TestHost {
  readonly memory = new SmallMemory();

  constructor() {
    super({ preemptPages: 64 });
    this.world.give(hypercallsOpened, null);
  }

  call(caller: Caller, number: number, ...args: number[]): number | Failure {
    const taken = takeHypercall(number, { host: this.world, caller, memory: this.memory, args });
    return typeof taken === "number" || isFailure(taken) ? taken : this.perform(caller, taken);
  }

  perform(caller: Caller, { operation, args, reply, failed }: Prepared): number | Failure {
    const result = ((): Plain | Failure => {
      if (operation.kind === "query") return operation.run?.(this.world, caller, args as never);
      this.world.give(hypercallMade, { call: 1, operation: operation.name, caller: { ...caller }, args });
      if (operation.kind === "atomic") return lastResult(this.world);
      this.settle();
      const { result: ended } = endedCalls(this.world)[0] as { result: Plain | Failure };
      this.world.give(endedSeen, { count: 1 });
      return ended;
    })();
    if (!isFailure(result)) return reply(result as never);
    failed?.(result);
    return result;
  }

  /** Puts a domctl or sysctl at the start of the caller's memory. */
  control(struct: typeof abi.xen_domctl | typeof abi.xen_sysctl, command: number, domid = 0): DataView {
    const view = zeroed(struct);
    struct.cmd.set(view, command);
    struct.interface_version.set(view, X.XEN_DOMCTL_INTERFACE_VERSION);
    if ("domain" in struct) struct.domain.set(view, domid);
    this.memory.bytes.fill(0);
    this.memory.bytes.set(bytesOf(view));
    return viewOf(this.memory.bytes);
  }

  must(result: number | Failure): void {
    if (result !== 0) throw new Error(`a hypercall gave ${JSON.stringify(result)}`);
  }

  makePvh(): number {
    const U = abi.xen_domctl.u.offset;
    const s = abi.xen_domctl_createdomain;
    const view = this.control(abi.xen_domctl, X.XEN_DOMCTL_createdomain, 0xffff);
    s.flags.set(view, CDF_hvm | CDF_hap, U);
    s.max_vcpus.set(view, 2, U);
    s.max_evtchn_port.set(view, 1023, U);
    s.max_grant_frames.set(view, -1, U);
    s.max_maptrack_frames.set(view, -1, U);
    s.grant_opts.set(view, 2, U);
    s["arch.emulation_flags"].set(view, X.XEN_X86_EMU_LAPIC, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    const domid = abi.xen_domctl.domain.get(view);
    abi.xen_domctl_max_vcpus.max.set(this.control(abi.xen_domctl, X.XEN_DOMCTL_max_vcpus, domid), 2, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    abi.xen_domctl_max_mem.max_memkb.set(this.control(abi.xen_domctl, X.XEN_DOMCTL_max_mem, domid), 4096, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    return domid;
  }
}

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
