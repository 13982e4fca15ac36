// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import * as pool from "./cpupool.ts";
import { setvcpuaffinity } from "./domain-settings.ts";
import { domainPagesCell } from "./domain.ts";
import { createdomain, getdomaininfo } from "./domctl.ts";
import { mapForeign, unmapForeign } from "./memory-op.ts";
import { TestHost, xl } from "./testing.ts";
import { vcpuCell, vcpuId } from "./vcpu.ts";

/** A host and a hand that performs pool operations on it, one a line. */
function setup(): { t: TestHost; op: <R>(run: (host: Host) => R) => R } {
  const t = new TestHost();
  return { t, op: (run) => t.act(run) };
}

const create = (host: Host): unknown =>
  pool.cpupoolCreate(host, xl, { cpupoolId: null, schedId: pool.SCHED_CREDIT2 });
const add = (cpupoolId: number, cpu: number) => (host: Host) =>
  pool.cpupoolAddcpu(host, xl, { cpupoolId, cpu });
const remove = (cpupoolId: number, cpu: number) => (host: Host) =>
  pool.cpupoolRmcpu(host, xl, { cpupoolId, cpu });
const move = (cpupoolId: number, domid: number) => (host: Host) =>
  pool.cpupoolMovedomain(host, xl, { cpupoolId, domid });

test("a processor goes from pool to pool, and domains with it", () => {
  const { t, op } = setup();
  const domid = t.makeDomain();
  op((host) => setvcpuaffinity(host, xl, { domid, vcpu: 0, hard: [0], soft: null }));
  expect(op(create)).toEqual({ cpupoolId: 1 });
  expect(op(add(1, 1))).toEqual({ errno: "ENODEV" });
  expect(op(remove(0, 1))).toBe(0);
  expect(op((host) => pool.cpupoolFreeinfo(host, xl))).toEqual([1]);
  expect(op(move(1, domid))).toEqual({ errno: "ENOENT" });
  expect(op(add(1, 1))).toBe(0);
  expect(op(move(1, domid))).toBe(0);
  expect(op((host) => pool.cpupoolInfo(host, xl, { cpupoolId: 1 }))).toEqual({
    cpupoolId: 1,
    schedId: pool.SCHED_CREDIT2,
    nDom: 1,
    cpus: [1],
  });
  expect(must(t.world, vcpuCell, vcpuId(domid, 0))).toMatchObject({ processor: 1, hardAffinity: "all" });
  expect(op(remove(1, 1))).toEqual({ errno: "EBUSY" });
  expect(op((host) => pool.cpupoolDestroy(host, xl, { cpupoolId: 1 }))).toEqual({ errno: "EBUSY" });
  expect(op(move(0, domid))).toBe(0);
  expect(op(remove(1, 1))).toBe(0);
  expect(op((host) => pool.cpupoolDestroy(host, xl, { cpupoolId: 1 }))).toBe(0);
  expect(op((host) => pool.cpupoolInfo(host, xl, { cpupoolId: 1 }))).toEqual({ errno: "ENOENT" });
});

test("a domain is made in a pool that has processors, and runs on them", () => {
  const { t, op } = setup();
  op(create);
  expect(op((host) => createdomain(host, xl, { cpupoolId: 1 }))).toEqual({ errno: "ENODEV" });
  op(remove(0, 1));
  op(add(1, 1));
  const domid = t.makeDomain(64, { cpupoolId: 1 });
  expect(must(t.world, vcpuCell, vcpuId(domid, 0)).processor).toBe(1);
});

test("a zombie is no business of the pool it lived in", () => {
  const { t, op } = setup();
  op(create);
  op(remove(0, 1));
  op(add(1, 1));
  const domid = t.makeDomain(64, { cpupoolId: 1 });
  const sharedInfo = must(t.world, domainPagesCell, domid).sharedInfo;
  op((host) => mapForeign(host, xl, { domid, gfn: sharedInfo }));
  t.destroy(domid);
  t.settle();
  expect(t.statesOf(domid).at(-1)).toBe("dead");
  expect(op((host) => getdomaininfo(host, xl, domid))).toMatchObject({ domid, cpupool: 0 });
  expect(op(remove(1, 1))).toBe(0);
  expect(op((host) => pool.cpupoolDestroy(host, xl, { cpupoolId: 1 }))).toBe(0);
  op((host) => unmapForeign(host, xl, { mfn: sharedInfo }));
  t.settle();
  expect(t.statesOf(domid).at(-1)).toBe("freed");
  expect(must(t.world, pool.cpupoolCell, 0).nDom).toBe(1);
});

test("a pool counts its domains until they are freed", () => {
  const { t, op } = setup();
  const count = (): number => must(t.world, pool.cpupoolCell, 0).nDom;
  expect(count()).toBe(1);
  const domid = t.makeDomain();
  expect(op((host) => createdomain(host, xl, { maxVcpus: 0 }))).toEqual({ errno: "EINVAL" });
  expect(count()).toBe(2);
  t.destroy(domid);
  t.settle();
  expect(t.statesOf(domid).at(-1)).toBe("freed");
  expect(count()).toBe(1);
});

test.each([
  ["processor 0 stays in pool 0", remove(0, 0), "EINVAL"],
  ["there is no such processor", remove(0, 2), "EINVAL"],
  ["there is no such pool", remove(3, 1), "ENOENT"],
  ["it is another pool's processor", (host: Host) => (create(host), remove(1, 1)(host)), "EADDRNOTAVAIL"],
  ["no such pool gets a processor", add(3, 1), "ENOENT"],
  ["nobody moves himself", move(1, 0), "EPERM"],
  ["there is no such domain", move(0, 99), "ESRCH"],
  [
    "a scheduler is not built in",
    (host: Host) => pool.cpupoolCreate(host, xl, { cpupoolId: null, schedId: 5 }),
    "ENOENT",
  ],
  [
    "the number is taken",
    (host: Host) => pool.cpupoolCreate(host, xl, { cpupoolId: 0, schedId: pool.SCHED_CREDIT2 }),
    "EEXIST",
  ],
  ["other schedulers' parameters", (host: Host) => pool.schedulerParams(host, xl, { schedId: 5 }), "EINVAL"],
  [
    "the rate limit is out of range",
    (host: Host) => pool.setSchedulerParams(host, xl, { ratelimitUs: 99 }),
    "EINVAL",
  ],
] as const)("refused: %s", (_why, run, errno) => {
  expect(setup().op<unknown>(run)).toEqual({ errno });
});
