// SPDX-License-Identifier: Apache-2.0
//
// Device models' operations in binary: what each leaves, and what it refuses.

import { expect, test, vi } from "vitest";
import * as X from "../../../abi/4.17/constants.ts";
import { hvmSave } from "../../../abi/4.17/hvm-save.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf, zeroed } from "../../../abi/struct.ts";
import type { NumberField } from "../../../abi/struct.ts";
import { must } from "../../engine/cells.ts";
import { fail } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { domainById } from "../domain.ts";
import { unpausedomain } from "../domctl.ts";
import { gethvmcontextPartial } from "../hvm-context.ts";
import { ioreqServerSelect } from "../ioreq-send.ts";
import { ioreqServerCell } from "../ioreq.ts";
import { gfnToMfn, p2mType } from "../p2m.ts";
import { populatePhysmap } from "../memory-op.ts";
import { changeVcpu } from "../vcpu.ts";
import { BASE, Called, DM_ARGUMENT, DM_SECOND, xl } from "./testing.ts";

const HVM = 0x3ff;

/** An HVM domain with memory at guest frames 0 to 63. */
function withHvm(): { host: Called; domid: number } {
  const host = new Called();
  const domid = host.makePvh(HVM);
  host.act((h) => populatePhysmap(h, xl, { domid, gpfns: [0], order: 6 }));
  return { host, domid };
}

type Struct = { readonly [field: string]: NumberField | number };

/** Makes an operation with those fields; its result, and the structure afterwards. */
function dmOp(
  { host, domid }: { host: Called; domid: number },
  command: number,
  struct: Struct & { readonly sizeof: number },
  fields: { readonly [name: string]: number },
): { result: number | Failure; view: DataView } {
  const view = zeroed(struct);
  for (const [name, value] of Object.entries(fields)) (struct[name] as NumberField).set(view, value);
  host.dmArgument(command, view);
  const result = host.call(xl, X.__HYPERVISOR_dm_op, domid, 2, BASE);
  return { result, view: viewOf(host.memory.bytes.subarray(DM_ARGUMENT + abi.xen_dm_op.u.offset)) };
}

test("a server is made, given ranges, told of and destroyed", () => {
  const on = withHvm();
  const { xen_dm_op_create_ioreq_server: create, xen_dm_op_ioreq_server_range: range } = abi;
  const made = dmOp(on, X.XEN_DMOP_create_ioreq_server, create, { handle_bufioreq: 2 });
  expect([made.result, create.id.get(made.view)]).toEqual([0, 0]);
  const map = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_map_io_range_to_ioreq_server, range, fields).result;
  const unmap = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_unmap_io_range_from_ioreq_server, range, fields).result;
  expect(map({ type: X.XEN_DMOP_IO_RANGE_PORT, start: 0x60, end: 0x64 })).toBe(0);
  expect(map({ type: X.XEN_DMOP_IO_RANGE_PORT, start: 0x65, end: 0x6f })).toBe(0);
  expect(map({ type: X.XEN_DMOP_IO_RANGE_PORT, start: 0x64, end: 0x64 })).toEqual(fail("EEXIST"));
  expect(map({ type: X.XEN_DMOP_IO_RANGE_MEMORY, start: 0x64, end: 0x63 })).toEqual(fail("EINVAL"));
  expect(map({ type: 3, start: 1, end: 1 })).toEqual(fail("EINVAL"));
  expect(map({ id: 1, start: 1, end: 1 })).toEqual(fail("ENOENT"));
  expect(unmap({ type: X.XEN_DMOP_IO_RANGE_PORT, start: 0x62, end: 0x62 })).toBe(0);
  expect(unmap({ type: X.XEN_DMOP_IO_RANGE_PORT, start: 0x61, end: 0x62 })).toEqual(fail("ENOENT"));
  expect(must(on.host.world, ioreqServerCell, `${on.domid}/0`).ranges.port).toEqual([
    { start: 0x60n, end: 0x61n },
    { start: 0x63n, end: 0x6fn },
  ]);
  const { xen_dm_op_get_ioreq_server_info: info } = abi;
  const told = dmOp(on, X.XEN_DMOP_get_ioreq_server_info, info, { flags: X.XEN_DMOP_no_gfns });
  expect([told.result, info.bufioreq_port.get(told.view)]).toEqual([0, 2]);
  const { xen_dm_op_set_ioreq_server_state: state } = abi;
  expect(dmOp(on, X.XEN_DMOP_set_ioreq_server_state, state, { enabled: 1 }).result).toBe(0);
  const destroy = abi.xen_dm_op_destroy_ioreq_server;
  expect(dmOp(on, X.XEN_DMOP_destroy_ioreq_server, destroy, {}).result).toBe(0);
  expect(dmOp(on, X.XEN_DMOP_destroy_ioreq_server, destroy, {}).result).toEqual(fail("ENOENT"));
});

test("no kind of range grows beyond what Xen keeps", () => {
  const on = withHvm();
  dmOp(on, X.XEN_DMOP_create_ioreq_server, abi.xen_dm_op_create_ioreq_server, {});
  const map = (start: number): number | Failure =>
    dmOp(on, X.XEN_DMOP_map_io_range_to_ioreq_server, abi.xen_dm_op_ioreq_server_range, {
      start,
      end: start,
    }).result;
  for (let i = 0; i < 256; i++) expect(map(2 * i)).toBe(0);
  expect(map(512)).toEqual(fail("ENOMEM"));
  // One that touches others makes one of them.
  expect(map(1)).toBe(0);
  expect(map(512)).toBe(0);
});

test("interrupt lines are what the records of a saved domain say", () => {
  const on = withHvm();
  const record = (typecode: number): number[] => {
    const bytes = gethvmcontextPartial(on.host.world, xl, { domid: on.domid, typecode, instance: 0 });
    return [...(bytes as Uint8Array)];
  };
  const pci = abi.xen_dm_op_set_pci_intx_level;
  expect(dmOp(on, X.XEN_DMOP_set_pci_intx_level, pci, { device: 2, intx: 1, level: 1 }).result).toBe(0);
  expect(record(hvmSave.PCI_IRQ.typecode).slice(0, 2)).toEqual([0, 2]);
  expect(dmOp(on, X.XEN_DMOP_set_pci_intx_level, pci, { device: 2, intx: 1 }).result).toBe(0);
  expect(record(hvmSave.PCI_IRQ.typecode).slice(0, 2)).toEqual([0, 0]);
  const isa = abi.xen_dm_op_set_isa_irq_level;
  expect(dmOp(on, X.XEN_DMOP_set_isa_irq_level, isa, { isa_irq: 12, level: 1 }).result).toBe(0);
  expect(record(hvmSave.ISA_IRQ.typecode).slice(0, 2)).toEqual([0, 16]);
  const link = abi.xen_dm_op_set_pci_link_route;
  expect(dmOp(on, X.XEN_DMOP_set_pci_link_route, link, { link: 3, isa_irq: 11 }).result).toBe(0);
  expect(record(hvmSave.PCI_LINK.typecode).slice(0, 4)).toEqual([0, 0, 0, 11]);
  for (const wrong of [{ device: 32 }, { intx: 4 }, { bus: 1 }, { domain: 1 }, { level: 2 }])
    expect(dmOp(on, X.XEN_DMOP_set_pci_intx_level, pci, wrong).result).toEqual(fail("EINVAL"));
  expect(dmOp(on, X.XEN_DMOP_set_isa_irq_level, isa, { isa_irq: 16 }).result).toEqual(fail("EINVAL"));
  expect(dmOp(on, X.XEN_DMOP_set_pci_link_route, link, { link: 4 }).result).toEqual(fail("EINVAL"));
});

test("memory becomes read only, or a device's; frames move", () => {
  const on = withHvm();
  const { host, domid } = on;
  const type = abi.xen_dm_op_set_mem_type;
  const setType = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_set_mem_type, type, fields).result;
  expect(setType({ first_pfn: 8, nr: 4, mem_type: 1 })).toBe(0);
  expect([7, 8, 11, 12].map((gfn) => p2mType(host.world, domid, gfn))).toEqual([
    "ram",
    "ram_ro",
    "ram_ro",
    "ram",
  ]);
  expect(setType({ first_pfn: 8, nr: 1, mem_type: 0 })).toBe(0);
  expect(p2mType(host.world, domid, 8)).toBe("ram");
  expect(setType({ first_pfn: 40, nr: 1, mem_type: 2 })).toBe(0);
  expect(setType({ first_pfn: 40, nr: 1, mem_type: 0 })).toEqual(fail("EINVAL"));
  for (const wrong of [{ nr: 0 }, { first_pfn: 60, nr: 5 }, { nr: 1, mem_type: 3 }, { nr: 1, mem_type: 4 }])
    expect(setType(wrong)).toEqual(fail("EINVAL"));

  const d = domainById(host.world, domid)!;
  const mfn = gfnToMfn(host.world, d, 20);
  const move = abi.xen_dm_op_relocate_memory;
  const relocate = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_relocate_memory, move, fields).result;
  expect(relocate({ size: 2, src_gfn: 20, dst_gfn: 100 })).toBe(0);
  expect([20, 21, 100, 101].map((gfn) => gfnToMfn(host.world, d, gfn))).toEqual([-1, -1, mfn, mfn + 1]);
  expect(relocate({ size: 1, src_gfn: 20, dst_gfn: 100 })).toEqual(fail("EINVAL"));
});

test("writes to pages of a type go to the server that asked for them", () => {
  const on = withHvm();
  const { host, domid } = on;
  const map = abi.xen_dm_op_map_mem_type_to_ioreq_server;
  const mapType = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_map_mem_type_to_ioreq_server, map, { type: 4, ...fields }).result;
  const setType = (first: number, type: number): number | Failure =>
    dmOp(on, X.XEN_DMOP_set_mem_type, abi.xen_dm_op_set_mem_type, { first_pfn: first, nr: 2, mem_type: type })
      .result;
  const selected = (dir: "read" | "write"): number =>
    ioreqServerSelect(host.world, domid, { kind: "memory", address: 0x9010, size: 4, dir });
  expect(mapType({ flags: 2 })).toEqual(fail("ENOENT"));
  for (let made = 0; made < 2; made++) {
    dmOp(on, X.XEN_DMOP_create_ioreq_server, abi.xen_dm_op_create_ioreq_server, {});
    dmOp(on, X.XEN_DMOP_set_ioreq_server_state, abi.xen_dm_op_set_ioreq_server_state, {
      id: made,
      enabled: 1,
    });
  }
  for (const wrong of [{ type: 1, flags: 2 }, { flags: 1 }, { flags: 0 }])
    expect(mapType(wrong)).toEqual(fail("EINVAL"));
  expect(setType(8, 4), "no server asked").toEqual(fail("EINVAL"));
  expect(mapType({ flags: 2 })).toBe(0);
  expect(mapType({ id: 1, flags: 2 })).toEqual(fail("EBUSY"));
  expect(setType(8, 4)).toBe(0);
  expect(setType(8, 1), "from there to plain memory only").toEqual(fail("EINVAL"));
  expect([selected("write"), selected("read")]).toEqual([0, -1]);
  expect(mapType({ id: 1, flags: 0 })).toEqual(fail("EINVAL"));

  // The server ends without a word: its pages stay, and keep others from asking.
  dmOp(on, X.XEN_DMOP_destroy_ioreq_server, abi.xen_dm_op_destroy_ioreq_server, {});
  expect(selected("write")).toBe(-1);
  expect(mapType({ id: 1, flags: 2 })).toEqual(fail("EBUSY"));
  expect(setType(8, 0)).toBe(0);
  expect(mapType({ id: 1, flags: 2 })).toBe(0);
  expect(setType(20, 4)).toBe(0);
  expect(mapType({ id: 1, flags: 0 })).toBe(0);
  expect([8, 9, 20, 21].map((gfn) => p2mType(host.world, domid, gfn))).toEqual(["ram", "ram", "ram", "ram"]);
});

test("an event waits for a vCPU that does not run, and keeps others out", () => {
  const on = withHvm();
  const { host, domid } = on;
  const inject = (fields: { [name: string]: number }): number | Failure =>
    dmOp(on, X.XEN_DMOP_inject_event, abi.xen_dm_op_inject_event, { vector: 14, type: 3, ...fields }).result;
  for (const wrong of [{ vcpuid: 2 }, { pad0: 1 }, { pad1: 1 }])
    expect(inject(wrong)).toEqual(fail("EINVAL"));
  expect([inject({}), inject({}), inject({ vcpuid: 1 })]).toEqual([0, fail("EBUSY"), 0]);
  host.act((h) => {
    changeVcpu(h, domid, 0, (v) => void (v.pauseFlags = 0));
    unpausedomain(h, xl, domid);
  });
  expect([inject({}), inject({}), inject({ vcpuid: 1 })], "taken").toEqual([0, 0, fail("EBUSY")]);
});

test("a message-signalled interrupt is requested of the local APICs that it means", () => {
  const on = withHvm();
  const { host, domid } = on;
  const send = (address: number, data: number, pad = 0): number | Failure =>
    dmOp(on, X.XEN_DMOP_inject_msi, abi.xen_dm_op_inject_msi, { addr: address, data, pad }).result;
  const { typecode } = hvmSave.LAPIC_REGS;
  /** IRR and TMR of each vCPU, the byte of vectors 0x40 to 0x47. */
  const requested = (): number[][] =>
    [0, 1].map((instance) => {
      const regs = gethvmcontextPartial(host.world, xl, { domid, typecode, instance }) as Uint8Array;
      return [regs[0x220] as number, regs[0x1a0] as number];
    });
  expect(send(0xfee0_2000, 0x41)).toBe(0);
  expect(requested(), "APIC 2 is the second vCPU's").toEqual([
    [0, 0],
    [2, 0],
  ]);
  expect(send(0xfeef_f000, 0x8042), "all, by level").toBe(0);
  expect(requested()).toEqual([
    [4, 4],
    [6, 4],
  ]);
  expect(send(0xfee0_4000, 0x43), "nobody's").toBe(0);
  expect(send(0xfee0_1004, 0x43), "no kernel has set logical addresses").toBe(0);
  expect(send(0xfee0_0000, 0x141), "no APIC is enabled").toEqual(fail("ESRCH"));
  expect(send(0xfee0_0000, 0x241)).toEqual(fail("EINVAL"));
  expect(send(0xfee0_0000, 0x41, 1)).toEqual(fail("EINVAL"));
  expect([send(0xfee0_0000, 0), send(0xfee1_0000, 0), send(0xfee4_0000, 0)]).toEqual([
    fail("ERANGE"),
    0,
    fail("EINVAL"),
  ]);
  expect(requested()).toEqual([
    [4, 4],
    [6, 4],
  ]);
});

test("video memory is all dirty at first, then what was written", () => {
  const on = withHvm();
  const { host, domid } = on;
  const vram = abi.xen_dm_op_track_dirty_vram;
  const bitmap = (): number[] => {
    expect(dmOp(on, X.XEN_DMOP_track_dirty_vram, vram, { first_pfn: 16, nr: 16 }).result).toBe(0);
    return [...host.memory.bytes.subarray(DM_SECOND, DM_SECOND + 2)];
  };
  // A simulation's memory does not know what was written, and calls all of it dirty.
  const dirty = new Set<number>();
  vi.spyOn(host.world.memory, "dirtied").mockImplementation((mfn, clean) =>
    clean ? dirty.delete(mfn) : dirty.has(mfn),
  );
  expect(bitmap()).toEqual([255, 255]);
  expect(bitmap()).toEqual([0, 0]);
  dirty.add(gfnToMfn(host.world, domainById(host.world, domid)!, 25));
  expect(bitmap()).toEqual([0, 2]);
  expect(bitmap()).toEqual([0, 0]);
  // A bitmap that is too short, and more than a GiB.
  for (const nr of [256 * 8 + 1, (1 << 18) + 1])
    expect(dmOp(on, X.XEN_DMOP_track_dirty_vram, vram, { nr }).result).toEqual(fail("EINVAL"));
  expect(dmOp(on, X.XEN_DMOP_track_dirty_vram, vram, { nr: 0 }).result).toBe(0);
  expect(bitmap()).toEqual([255, 255]);
});

test("ranges with a cache attribute of their own", () => {
  const on = withHvm();
  const pinned = abi.xen_dm_op_pin_memory_cacheattr;
  const pin = (start: number, end: number, type: number): number | Failure =>
    dmOp(on, X.XEN_DMOP_pin_memory_cacheattr, pinned, { start, end, type }).result;
  expect(pin(10, 20, 6)).toBe(0);
  expect(pin(10, 20, 1)).toBe(0);
  expect(pin(20, 30, 6)).toEqual(fail("EBUSY"));
  expect([pin(5, 4, 6), pin(30, 31, 2)]).toEqual([fail("EINVAL"), fail("EINVAL")]);
  expect(pin(10, 19, 0xffffffff)).toEqual(fail("ENOENT"));
  expect(pin(10, 20, 0xffffffff)).toBe(0);
  for (let i = 0; i < 64; i++) expect(pin(i, i, 0)).toBe(0);
  expect(pin(64, 64, 0)).toEqual(fail("ENOSPC"));
});

test("what is refused before the operation is looked at", () => {
  const { host, domid } = withHvm();
  const nr = zeroed(abi.xen_dm_op_nr_vcpus);
  const ask = (target: number, count: number, command: number = X.XEN_DMOP_nr_vcpus): number | Failure => {
    host.dmArgument(command, nr);
    return host.call(xl, X.__HYPERVISOR_dm_op, target, count, BASE);
  };
  expect(ask(domid, 1)).toBe(0);
  expect(abi.xen_dm_op_nr_vcpus.vcpus.get(viewOf(host.memory.bytes.subarray(DM_ARGUMENT + 8)))).toBe(2);
  expect(ask(domid, 0)).toEqual(fail("ENODATA"));
  expect(ask(domid, 3)).toEqual(fail("E2BIG"));
  expect(ask(99, 1)).toEqual(fail("ESRCH"));
  expect(ask(0, 1)).toEqual(fail("EPERM"));
  expect(ask(host.makeDomain(16), 1)).toEqual(fail("EINVAL"));
  // Nobody knows it: worth a line in the log.
  expect(ask(domid, 1, 99)).toEqual({ errno: "EOPNOTSUPP", unknown: "dm_op 99" });
  host.dmArgument(X.XEN_DMOP_nr_vcpus, nr);
  abi.xen_dm_op_buf.size.set(viewOf(host.memory.bytes), 7);
  expect(host.call(xl, X.__HYPERVISOR_dm_op, domid, 1, BASE)).toEqual(fail("EFAULT"));
  host.dmArgument(X.XEN_DMOP_nr_vcpus, nr);
  abi.xen_dm_op.pad.set(viewOf(host.memory.bytes), 1, DM_ARGUMENT);
  expect(host.call(xl, X.__HYPERVISOR_dm_op, domid, 1, BASE)).toEqual(fail("EINVAL"));
});
