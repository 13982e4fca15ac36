// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import * as X from "../../abi/4.17/constants.ts";
import { ioreq } from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { domainCell } from "./domain.ts";
import * as evtchn from "./event-channel-op.ts";
import * as op from "./ioreq-op.ts";
import { ioreqAnswer, ioreqSend, ioreqServerSelect, isBlockedInXen } from "./ioreq-send.ts";
import type { IoAccess } from "./ioreq-send.ts";
import { consumeEvent, evtchnPort } from "./port.ts";
import { dmopRemoteShutdown } from "./sched-op.ts";
import { TestHost } from "./testing.ts";

const qemu = { domid: 0, process: "qemu.1" };
const READ: IoAccess = { kind: "port", address: 0x60, register: 0, size: 1, dir: "read", data: 0 };
const FLAGS = ioreq.type.offset - 1;

/** An HVM domain, and an emulator of ports 0x60 to 0x6f and of PCI function 8 that has bound its port. */
function emulated() {
  const t = new TestHost();
  const domid = t.makeDomain(16, { flags: 1, emulationFlags: 0x3ff });
  return t.act((host) => {
    const id = op.createIoreqServer(host, qemu, { domid, bufioreqHandling: 0 });
    if (isFailure(id)) throw new Error(id.errno);
    op.mapIoRange(host, qemu, { domid, id, kind: "port", start: 0x60n, end: 0x6fn });
    op.mapIoRange(host, qemu, { domid, id, kind: "pci", start: 8n, end: 8n });
    const frames = op.acquireIoreqFrames(host, qemu, { domid, id, frame: 1, nrFrames: 1 });
    const bound = evtchn.bindInterdomain(host, qemu, { remoteDomid: domid, remotePort: 1 });
    if (isFailure(frames) || isFailure(bound)) throw new Error("no server");
    op.setIoreqServerState(host, qemu, { domid, id, enabled: true });
    // Binding leaves an event that says nothing.
    consumeEvent(host, 0, bound.port);
    const page = frames.mfns[0] as number;
    /** What a model does: its data and the state, then the event. */
    const answer = (data: number, state: number): void => {
      const request = host.memory.read(page, 0, ioreq.sizeof);
      ioreq.data.set(viewOf(request), data);
      request[FLAGS] = ((request[FLAGS] ?? 0) & 0xf0) | state;
      host.memory.write(page, 0, request);
      evtchn.send(host, qemu, { port: bound.port });
    };
    return { t, domid, id, page, port: bound.port, answer };
  });
}

test.each([
  ["a port it has", { ...READ }, true],
  ["the last of them", { ...READ, address: 0x6f }, true],
  ["one that reaches beyond", { ...READ, address: 0x6f, size: 2 as const }, false],
  ["a function it has", { ...READ, kind: "pci" as const, address: 8, size: 4 as const }, true],
  ["another function", { ...READ, kind: "pci" as const, address: 9 }, false],
  ["a guest address", { ...READ, kind: "memory" as const }, false],
])("which server an access goes to: %s", (_what, access, goes) => {
  const { t, domid, id } = emulated();
  expect(ioreqServerSelect(t.world, domid, access)).toBe(goes ? id : -1);
  t.act((host) => op.setIoreqServerState(host, qemu, { domid, id, enabled: false }));
  expect(ioreqServerSelect(t.world, domid, access)).toBe(-1);
});

test("a vCPU waits in the hypervisor until the answer is there", () => {
  const { t, domid, id, page, port, answer } = emulated();
  t.act((host) => {
    expect(ioreqSend(host, domid, 0, id, READ)).toBe(true);
    expect(isBlockedInXen(host, domid, 0)).toBe(true);
    const request = viewOf(host.memory.read(page, 0, ioreq.sizeof));
    expect([ioreq.addr.get(request), ioreq.size.get(request), ioreq.vp_eport.get(request)]).toEqual([
      0x60, 1, 1,
    ]);
    expect(request.getUint8(FLAGS)).toBe((1 << 5) | X.STATE_IOREQ_READY);
    expect(evtchnPort(host, 0, port)?.pending).toBe(true);
    // An event without an answer: it waits on.
    answer(0, X.STATE_IOREQ_INPROCESS);
    expect(isBlockedInXen(host, domid, 0)).toBe(false);
    expect(ioreqAnswer(host, domid, 0, id, 1)).toBe(null);
    expect(isBlockedInXen(host, domid, 0)).toBe(true);
    answer(0x1234, X.STATE_IORESP_READY);
    expect(ioreqAnswer(host, domid, 0, id, 1)).toEqual({ data: 0x34 });
    // Nothing is pending on a port whose events Xen takes itself.
    expect(evtchnPort(host, domid, 1)?.pending).toBe(false);
    expect(ioreqSend(host, domid, 0, id, READ)).toBe(true);
  });
});

test("a shutdown that the model asks for is complete when it has answered", () => {
  const { t, domid, id, answer } = emulated();
  t.act((host) => {
    ioreqSend(host, domid, 0, id, { ...READ, dir: "write", data: 0xfe });
    expect(dmopRemoteShutdown(host, qemu, { domid, reason: 1 })).toBe(0);
    expect(must(host, domainCell, domid).shutdown).toBe("in_progress");
    answer(0, X.STATE_IORESP_READY);
    ioreqAnswer(host, domid, 0, id, 1);
    expect(must(host, domainCell, domid)).toMatchObject({ shutdown: "complete", shutdownCode: 1 });
    expect(ioreqSend(host, domid, 0, id, READ)).toBe(false);
  });
});

test("a model that spoilt the page is sent nothing", () => {
  const { t, domid, id, page } = emulated();
  t.act((host) => {
    host.memory.write(page, ioreq.vp_eport.offset, Uint8Array.of(7));
    expect(ioreqSend(host, domid, 0, id, READ)).toBe(false);
    expect(isBlockedInXen(host, domid, 0)).toBe(false);
  });
});
