// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { CONRING_SIZE, printk } from "./console-ring.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "./caller.ts";
import { cpupoolInfo, schedulerParams } from "./cpupool.ts";
import * as domctl from "./domctl.ts";
import * as op from "./sysctl.ts";
import { TestHost, xl } from "./testing.ts";

test("the machine is that of the recordings", () => {
  const t = new TestHost();
  const info = op.physinfo(t.world, xl);
  if ("errno" in info) throw new Error(info.errno);
  expect({
    total: Math.floor(info.totalPages / 256),
    free: Math.floor(info.freePages / 256),
    cpus: info.nrCpus,
    nodes: info.nrNodes,
  }).toEqual({
    total: 3071,
    free: 1754,
    cpus: 2,
    nodes: 1,
  });
});

test("domains are listed from any domid on, as many as asked for", () => {
  const t = new TestHost();
  const domids = [t.makeDomain(), t.makeDomain(), t.makeDomain(64, { domid: 900 })];
  const list = (firstDomain: number, maxDomains: number): number[] | string => {
    const infos = op.getdomaininfolist(t.world, xl, { firstDomain, maxDomains });
    return "errno" in infos ? infos.errno : infos.map(({ domid }) => domid);
  };
  expect(list(0, 10)).toEqual([0, ...domids]);
  expect(list(1, 2)).toEqual(domids.slice(0, 2));
  expect(list(3, 10)).toEqual([900]);
  expect(list(901, 10)).toEqual([]);
  expect(t.act((host) => domctl.getdomaininfo(host, xl, 3))).toMatchObject({ domid: 900 });
  expect(t.act((host) => domctl.getdomaininfo(host, xl, 901))).toEqual({ errno: "ESRCH" });
  expect(t.act((host) => domctl.getdomaininfo(host, xl, 0x7ff0))).toEqual({ errno: "EINVAL" });
});

test("the console keeps its last 16 KiB, and forgets on demand", () => {
  const t = new TestHost();
  const read = (index = 0, clear = false): { text: string; index: number } =>
    t.act((host) => {
      const got = op.readconsole(host, xl, { index, clear });
      if ("errno" in got) throw new Error(got.errno);
      return got;
    });
  expect(read().text).toMatch(/^\(XEN\) Xen version 4\.17\.7/);
  const { index } = read();
  t.act((host) => printk(host, "one\ntwo"));
  expect(read(index).text).toBe("(XEN) one\n(XEN) two\n");
  t.act((host) => {
    for (let i = 0; i < 2000; i++) printk(host, `line ${i}`);
  });
  const { text } = read();
  expect(text).toHaveLength(CONRING_SIZE);
  expect(text.endsWith("(XEN) line 1998\n(XEN) line 1999\n")).toBe(true);
  read(0, true);
  expect(read().text).toBe("");
});

test("only what was read of the console is cleared, and a place that is not there is its beginning", () => {
  const t = new TestHost();
  const read = (args: { index?: number; clear?: boolean; room?: number }): { text: string; index: number } =>
    t.act((host) => {
      const got = op.readconsole(host, xl, args);
      if ("errno" in got) throw new Error(got.errno);
      return got;
    });
  const whole = read({});
  const part = read({ room: 10, clear: true });
  expect(part).toEqual({ text: whole.text.slice(0, 10), index: 10 });
  expect(read({})).toEqual({ text: whole.text.slice(10), index: whole.index });
  expect(read({ index: 3 }).text).toBe(whole.text.slice(10));
  expect(read({ index: whole.index + 1 }).text).toBe(whole.text.slice(10));
});

test("a guest may not look around", () => {
  const t = new TestHost();
  const guest = { domid: t.makeDomain(), process: "kernel" };
  for (const ask of [
    op.physinfo,
    op.readconsole,
    op.numainfo,
    op.cputopoinfo,
    op.getcpuinfo,
    op.schedId,
    schedulerParams,
    (host: Host, caller: Caller) => cpupoolInfo(host, caller, { cpupoolId: 0 }),
  ]) {
    expect(t.act<unknown>((host) => ask(host, guest))).toEqual({ errno: "EPERM" });
  }
  expect(t.act((host) => op.debugKeys(host, guest, { keys: "q" }))).toEqual({ errno: "EPERM" });
});
