// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { isFailure } from "../engine/errno.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { getvcpucontext, getvcpuinfo, sendtrigger, setvcpucontext } from "./domctl-vcpu.ts";
import { takeAcpiButton } from "./acpi-button.ts";
import { getdomaininfo } from "./dominfo.ts";
import { bindPirq, bindVcpu, status } from "./event-channel-op.ts";
import { populatePhysmap } from "./memory-op.ts";
import { mmuextPin, mmuextUnpin } from "./mmuext-op.ts";
import { pageOf } from "./page.ts";
import { vcpuopDown, vcpuopIsUp, vcpuopUp } from "./sched-op.ts";
import { TestHost, xl } from "./testing.ts";
import { mapVcpuInfo } from "./vcpu-pages.ts";
import { vcpuBlock } from "./vcpu.ts";

function withMemory(t: TestHost, config: domctl.CreatedomainArgs): { domid: number; mfns: number[] } {
  const domid = t.makeDomain(64, config);
  const populated = t.act((host) => populatePhysmap(host, xl, { domid, gpfns: [0, 1, 2, 3], order: 0 }));
  if (isFailure(populated)) throw new Error(populated.errno);
  return { domid, mfns: populated.mfns };
}

test("vCPUs are made down; those the guest starts run, and the last one that goes down takes it along", () => {
  const t = new TestHost();
  const domid = t.makeDomain(64, { maxVcpus: 3 });
  const kernel = { domid, process: "kernel" };
  const online = (): number => getdomaininfo(t.world, 0, domainOf(t, domid)).nrOnlineVcpus;
  expect(online()).toBe(0);
  t.act((host) => {
    expect(vcpuopUp(host, kernel, { vcpu: 1 }), "no context yet").toEqual({ errno: "EINVAL" });
    expect(vcpuopUp(host, kernel, { vcpu: 3 })).toEqual({ errno: "ENOENT" });
    expect(getvcpucontext(host, xl, { domid, vcpu: 0 })).toEqual({ errno: "ENODATA" });
    setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true, bytes: Uint8Array.of(7) } });
    setvcpucontext(host, xl, { domid, vcpu: 1, context: { online: false } });
    domctl.unpausedomain(host, xl, domid);
  });
  expect(online()).toBe(1);
  t.act((host) => {
    expect(getvcpucontext(host, xl, { domid, vcpu: 0 })).toEqual({ bytes: Uint8Array.of(7), online: true });
    expect(vcpuopUp(host, kernel, { vcpu: 1 })).toBe(0);
    expect([0, 1, 2].map((vcpu) => vcpuopIsUp(host, kernel, { vcpu }))).toEqual([true, true, false]);
    expect(getvcpuinfo(host, xl, { domid, vcpu: 1 })).toMatchObject({
      online: true,
      blocked: false,
      running: true,
    });
    expect(getvcpuinfo(host, xl, { domid, vcpu: 3 })).toEqual({ errno: "EINVAL" });
    expect(vcpuopDown(host, kernel, { vcpu: 0 })).toBe(0);
    expect(domainOf(t, domid).shutdown).toBe("none");
    expect(vcpuopDown(host, kernel, { vcpu: 1 })).toBe(0);
    expect(domainOf(t, domid).shutdown).toBe("complete");
  });
});

function domainOf(t: TestHost, domid: number): NonNullable<ReturnType<typeof domainById>> {
  const d = domainById(t.world, domid);
  if (d === undefined) throw new Error(`no d${domid}`);
  return d;
}

test("time runs while a vCPU is neither blocked nor paused", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  const cpuTime = (): number => getdomaininfo(t.world, t.world.now, domainOf(t, domid)).cpuTime / 1000;
  const pass = (microseconds: number): unknown => t.world.perform({ clock: t.world.now + microseconds });
  t.act((host) => setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true } }));
  pass(100);
  t.act((host) => domctl.unpausedomain(host, xl, domid));
  pass(200);
  expect(cpuTime()).toBe(200);
  t.act((host) => vcpuBlock(host, domid, 0));
  pass(400);
  t.act((host) => sendtrigger(host, xl, { domid, vcpu: 0, trigger: "nmi" }));
  pass(800);
  t.act((host) => domctl.pausedomain(host, xl, domid));
  pass(1600);
  expect(cpuTime()).toBe(1000);
});

test("page tables, GDT and vcpu_info hold their pages until the domain is killed", () => {
  const t = new TestHost();
  const { domid, mfns } = withMemory(t, {});
  const [table, gdt, info, plain] = mfns as [number, number, number, number];
  t.act((host) => {
    expect(mmuextPin(host, xl, { domid, level: 4, mfn: table })).toBe(0);
    expect(mmuextPin(host, xl, { domid, level: 4, mfn: table })).toEqual({ errno: "EINVAL" });
    expect(
      setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true, cr3: table, gdt: [gdt] } }),
    ).toBe(0);
    expect(pageOf(host, table)).toMatchObject({ type: "l4", typeCount: 2, count: 3, pinned: true });
    expect(mapVcpuInfo(host, domid, 0, gdt), "in use as a descriptor table").toEqual({ errno: "EINVAL" });
    expect(mapVcpuInfo(host, domid, 0, info)).toBe(0);
    expect(mapVcpuInfo(host, domid, 0, plain), "moved once").toEqual({ errno: "EINVAL" });
    expect(mmuextUnpin(host, xl, { domid, mfn: table })).toBe(0);
    expect(mmuextUnpin(host, xl, { domid, mfn: table })).toEqual({ errno: "EINVAL" });
    mmuextPin(host, xl, { domid, level: 4, mfn: table });
    expect(checkLedger(host, domid)).toEqual([]);
  });
  t.destroy(domid);
  t.settle();
  expect(domainById(t.world, domid)).toBeUndefined();
});

test("a frame that is not the domain's is no page table of it", () => {
  const t = new TestHost();
  const { domid } = withMemory(t, {});
  const other = withMemory(t, {});
  const cr3 = other.mfns[0] as number;
  expect(
    t.act((host) => setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true, cr3 } })),
  ).toEqual({ errno: "EINVAL" });
  expect(t.act((host) => mmuextPin(host, xl, { domid, level: 1, mfn: cr3 }))).toEqual({ errno: "EINVAL" });
  expect(checkLedger(t.world, other.domid)).toEqual([]);
});

test("buttons reach the ACPI of a domain that has one", () => {
  const t = new TestHost();
  const [pv, hvm] = [t.makeDomain(), t.makeDomain(64, { flags: 1, emulationFlags: 1 })];
  t.act((host) => {
    expect(sendtrigger(host, xl, { domid: pv, vcpu: 0, trigger: "power" })).toEqual({ errno: "EINVAL" });
    expect(sendtrigger(host, xl, { domid: hvm, vcpu: 0, trigger: "power" })).toBe(0);
    expect(sendtrigger(host, xl, { domid: hvm, vcpu: 9, trigger: "power" })).toEqual({ errno: "ESRCH" });
    expect(sendtrigger(host, xl, { domid: hvm, vcpu: 0, trigger: "reset" })).toEqual({ errno: "ENOSYS" });
    expect([takeAcpiButton(host, hvm), takeAcpiButton(host, hvm)]).toEqual(["power", null]);
  });
});

test("a physical interrupt is bound to a port, and taken by the vCPU that is chosen", () => {
  const t = new TestHost();
  const dom0 = { domid: 0, process: "kernel" };
  t.act((host) => {
    const bound = bindPirq(host, dom0, { pirq: 9 });
    if (isFailure(bound)) throw new Error(bound.errno);
    expect(bindVcpu(host, dom0, { port: bound.port, vcpu: 1 })).toBe(0);
    expect(bindVcpu(host, dom0, { port: bound.port, vcpu: 2 })).toEqual({ errno: "ENOENT" });
    expect(status(host, dom0, { domid: 0, port: bound.port })).toMatchObject({
      status: "pirq",
      pirq: 9,
      vcpu: 1,
    });
  });
});
