// SPDX-License-Identifier: Apache-2.0
import { HVM_PARAM_IOREQ_SERVER_PFN, HVM_PARAM_NR_IOREQ_SERVER_PAGES } from "../../abi/4.17/constants.ts";
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { checkLedger } from "./check-ledger.ts";
import { domainById, domainPagesCell, domainTotPages } from "./domain.ts";
import * as evtchn from "./event-channel-op.ts";
import { setParam } from "./hvm-op.ts";
import * as op from "./ioreq-op.ts";
import { mapForeign, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { mapFrame, unmapFrame } from "./mapping.ts";
import { pageOf } from "./page.ts";
import { evtchnPort } from "./port.ts";
import { TestHost, xl } from "./testing.ts";

const qemu = { domid: 0, process: "qemu.1" };
const HVM = { flags: 1, emulationFlags: 0x3ff };

/** An HVM domain with 16 pages, two of them set apart for servers, and one server. */
function withServer(bufioreqHandling = 2): { t: TestHost; domid: number; id: number; mfn: number } {
  const t = new TestHost();
  const domid = t.makeDomain(16, HVM);
  return t.act((host) => {
    const populated = populatePhysmap(host, xl, { domid, gpfns: [0], order: 4 });
    const id = op.createIoreqServer(host, qemu, { domid, bufioreqHandling });
    if (isFailure(populated) || isFailure(id)) throw new Error("no server");
    setParam(host, xl, { domid, index: HVM_PARAM_IOREQ_SERVER_PFN, value: 4n });
    setParam(host, xl, { domid, index: HVM_PARAM_NR_IOREQ_SERVER_PAGES, value: 2n });
    return { t, domid, id, mfn: populated.mfns[0] as number };
  });
}

test("a server has a port for each vCPU, which its emulator may bind and the guest may not close", () => {
  const { t, domid, id } = withServer();
  t.act((host) => {
    const info = op.getIoreqServerInfo(host, qemu, { domid, id, noGfns: true });
    expect(info).toEqual({ ioreqGfn: -1, bufioreqGfn: -1, bufioreqPort: 2 });
    expect([evtchnPort(host, domid, 1)?.xenConsumer, evtchnPort(host, domid, 2)?.xenConsumer]).toEqual([
      1, 1,
    ]);
    expect(evtchn.close(host, { domid, process: "kernel" }, { port: 1 })).toEqual({ errno: "EINVAL" });
    const bound = evtchn.bindInterdomain(host, qemu, { remoteDomid: domid, remotePort: 1 });
    expect(isFailure(bound)).toBe(false);
    expect(op.destroyIoreqServer(host, qemu, { domid, id })).toBe(0);
    expect([evtchnPort(host, domid, 1), evtchnPort(host, domid, 2)]).toEqual([undefined, undefined]);
    expect(checkLedger(host, 0)).toEqual([]);
  });
});

test("its own pages are extra: the domain's memory stays what it is, and debug key q lists them apart", () => {
  const { t, domid, id } = withServer();
  t.act((host) => {
    const frames = op.acquireIoreqFrames(host, qemu, { domid, id, frame: 0, nrFrames: 2 });
    if (isFailure(frames)) throw new Error(frames.errno);
    const counts = must(host, domainPagesCell, domid);
    expect([counts.totPages, domainTotPages(counts), counts.extraPages]).toEqual([
      18,
      16,
      frames.mfns.toReversed(),
    ]);
    expect(pageOf(host, frames.mfns[0] as number)).toMatchObject({ extra: true, count: 2, type: "writable" });
    expect(op.setIoreqServerState(host, qemu, { domid, id, enabled: true })).toBe(0);
    // The port is where the device model looks for it: vp_eport of the first vCPU's request.
    expect([...host.memory.read(frames.mfns[1] as number, 24, 4)]).toEqual([1, 0, 0, 0]);
    expect(op.getIoreqServerInfo(host, qemu, { domid, id, noGfns: false })).toEqual({ errno: "EPERM" });
    expect(checkLedger(host, domid)).toEqual([]);
  });
});

test("guest frames serve where they were set apart, and are hidden from the guest while it runs", () => {
  const { t, domid, id, mfn } = withServer();
  t.act((host) => {
    const info = op.getIoreqServerInfo(host, qemu, { domid, id, noGfns: false });
    expect(info).toEqual({ ioreqGfn: 4, bufioreqGfn: 5, bufioreqPort: 2 });
    expect(pageOf(host, mfn + 4)).toMatchObject({ count: 2, type: "writable" });
    op.setIoreqServerState(host, qemu, { domid, id, enabled: true });
    expect(mapForeign(host, qemu, { domid, gfn: 4 })).toEqual({ errno: "EINVAL" });
    expect(op.acquireIoreqFrames(host, qemu, { domid, id, frame: 1, nrFrames: 1 })).toEqual({
      errno: "EPERM",
    });
    const second = op.createIoreqServer(host, qemu, { domid, bufioreqHandling: 0 });
    expect(op.getIoreqServerInfo(host, qemu, { domid, id: second as number, noGfns: false })).toEqual({
      errno: "ENOMEM",
    });
    expect(op.destroyIoreqServer(host, qemu, { domid, id })).toBe(0);
    expect(mapForeign(host, qemu, { domid, gfn: 4 })).toEqual({ mfn: mfn + 4 });
    expect(checkLedger(host, domid)).toEqual([]);
  });
});

test("a device model that is still alive holds a dead domain by its IOREQ page alone", () => {
  const { t, domid, id } = withServer();
  const mfn = t.act((host) => {
    const frames = op.acquireIoreqFrames(host, qemu, { domid, id, frame: 1, nrFrames: 1 });
    if (isFailure(frames)) throw new Error(frames.errno);
    const [first] = frames.mfns as [number];
    expect(mapFrame(host, 0, qemu.process, "foreign map", domid, first, false)).toBe(0);
    return first;
  });
  t.destroy(domid);
  t.settle();
  const counts = must(t.world, domainPagesCell, domid);
  expect([domainTotPages(counts), counts.xenheapPages, counts.extraPages]).toEqual([0, 0, [mfn]]);
  expect(checkLedger(t.world, domid)).toEqual([]);
  t.act((host) => unmapForeign(host, qemu, { mfn }));
  t.settle();
  expect(domainById(t.world, domid)).toBeUndefined();
  expect(unmapFrame(t.world, 0, qemu.process, "foreign map", mfn, false)).toEqual({ errno: "EINVAL" });
});

test.each([
  ["a PV domain", (d: number) => ({ domid: d, bufioreqHandling: 0 }), {}, "EINVAL"],
  ["a domain there is not", () => ({ domid: 99, bufioreqHandling: 0 }), HVM, "ESRCH"],
  ["an unknown way of buffering", (d: number) => ({ domid: d, bufioreqHandling: 3 }), HVM, "EINVAL"],
])("no server for %s", (_what, args, config, errno) => {
  const t = new TestHost();
  const domid = t.makeDomain(16, config);
  expect(t.act((host) => op.createIoreqServer(host, qemu, args(domid)))).toEqual({ errno });
});

test("there are eight servers at most, each its emulator's alone", () => {
  const { t, domid, id } = withServer(0);
  t.act((host) => {
    const create = () => op.createIoreqServer(host, qemu, { domid, bufioreqHandling: 0 });
    expect(Array.from({ length: 8 }, create)).toEqual([1, 2, 3, 4, 5, 6, 7, { errno: "ENOSPC" }]);
    const stranger = { domid, process: "kernel" };
    expect(op.destroyIoreqServer(host, stranger, { domid, id })).toEqual({ errno: "EPERM" });
    expect(op.setIoreqServerState(host, qemu, { domid, id: 9, enabled: true })).toEqual({ errno: "ENOENT" });
    const frames = (frame: number) => op.acquireIoreqFrames(host, qemu, { domid, id, frame, nrFrames: 1 });
    expect([frames(0), frames(2)]).toEqual([{ errno: "ENOENT" }, { errno: "EINVAL" }]);
  });
});
