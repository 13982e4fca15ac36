// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";
import type { Caller } from "./caller.ts";
import * as domctl from "./domctl.ts";
import { getDomainState } from "./domctl.ts";
import * as op from "./event-channel-op.ts";
import { consumeEvent, eventPending, evtchnPort, maskPort } from "./port.ts";
import { TestHost, xl } from "./testing.ts";
import { VIRQ_DOM_EXC, VIRQ_TIMER } from "./virq.ts";

const xenstored: Caller = { domid: 0, process: "xenstored" };

function kernel(domid: number): Caller {
  return { domid, process: "kernel" };
}

/** A domain's unbound port and dom0's bound to it, with the event that binding leaves taken. */
function channel(t: TestHost): { domid: number; local: number; remote: number } {
  const domid = t.makeDomain();
  return t.act((host) => {
    const made = op.allocUnbound(host, xl, { domid, remoteDomid: 0 });
    if ("errno" in made) throw new Error(made.errno);
    const bound = op.bindInterdomain(host, xenstored, { remoteDomid: domid, remotePort: made.port });
    if ("errno" in bound) throw new Error(bound.errno);
    expect(consumeEvent(host, 0, bound.port)).toBe(true);
    return { domid, local: made.port, remote: bound.port };
  });
}

test("an event crosses a channel, in both directions, once however often it is sent", () => {
  const t = new TestHost();
  const { domid, local, remote } = channel(t);
  t.act((host) => {
    expect(op.send(host, kernel(domid), { port: local })).toBe(0);
    expect(op.send(host, kernel(domid), { port: local })).toBe(0);
    expect(eventPending(host, 0, remote)).toBe(true);
    expect([consumeEvent(host, 0, remote), consumeEvent(host, 0, remote)]).toEqual([true, false]);
    op.send(host, xenstored, { port: remote });
    expect(eventPending(host, domid, local)).toBe(true);
  });
});

test("a masked port keeps its event until it is unmasked", () => {
  const t = new TestHost();
  const { domid, local, remote } = channel(t);
  t.act((host) => {
    maskPort(host, 0, remote);
    op.send(host, kernel(domid), { port: local });
    expect(eventPending(host, 0, remote)).toBe(false);
    expect(consumeEvent(host, 0, remote)).toBe(false);
    op.unmask(host, xenstored, { port: remote });
    expect(consumeEvent(host, 0, remote)).toBe(true);
  });
});

test("an end that is closed leaves the other one waiting for the same domain", () => {
  const t = new TestHost();
  const { domid, local, remote } = channel(t);
  t.act((host) => {
    expect(op.close(host, xenstored, { port: remote })).toBe(0);
    expect(op.status(host, xl, { domid, port: local })).toMatchObject({ status: "unbound", domid: 0 });
    expect(op.send(host, kernel(domid), { port: local }), "into the void").toBe(0);
    expect(op.bindInterdomain(host, xenstored, { remoteDomid: domid, remotePort: local })).toEqual({
      port: remote,
    });
  });
});

test.each([
  ["a port that is free", (host: Host) => op.send(host, xl, { port: 900 }), "EINVAL"],
  ["port 0", (host: Host) => op.close(host, xl, { port: 0 }), "EINVAL"],
  [
    "a domain there is not",
    (host: Host) => op.allocUnbound(host, xl, { domid: 99, remoteDomid: 0 }),
    "ESRCH",
  ],
  [
    "a remote domain there is not",
    (host: Host) => op.bindInterdomain(host, xl, { remoteDomid: 99, remotePort: 1 }),
    "ESRCH",
  ],
  [
    "a remote port that waits for nobody",
    (host: Host) => op.bindInterdomain(host, xl, { remoteDomid: 1, remotePort: 9 }),
    "EINVAL",
  ],
  [
    "a port that waits for another domain",
    (host: Host) => op.bindInterdomain(host, kernel(1), { remoteDomid: 1, remotePort: 1 }),
    "EINVAL",
  ],
  [
    "a port of another domain, from a guest",
    (host: Host) => op.allocUnbound(host, kernel(1), { domid: 0, remoteDomid: 1 }),
    "EPERM",
  ],
  ["a VIRQ there is not", (host: Host) => op.bindVirq(host, xl, { virq: 24, vcpu: 0 }), "EINVAL"],
  [
    "a global VIRQ on vCPU 1",
    (host: Host) => op.bindVirq(host, xl, { virq: VIRQ_DOM_EXC, vcpu: 1 }),
    "EINVAL",
  ],
  [
    "a VIRQ of a vCPU there is not",
    (host: Host) => op.bindVirq(host, xl, { virq: VIRQ_TIMER, vcpu: 7 }),
    "ENOENT",
  ],
])("refuses %s", (_what, run, errno) => {
  const t = new TestHost();
  channel(t);
  expect(t.act<unknown>(run)).toEqual({ errno });
});

test("VIRQ_DOM_EXC has one binder, and is told of each death", () => {
  const t = new TestHost();
  const port = t.act((host) => {
    const bound = op.bindVirq(host, xenstored, { virq: VIRQ_DOM_EXC, vcpu: 0 });
    expect(op.bindVirq(host, xl, { virq: VIRQ_DOM_EXC, vcpu: 0 })).toEqual({ errno: "EEXIST" });
    return "errno" in bound ? -1 : bound.port;
  });
  const domid = t.makeDomain();
  t.destroy(domid);
  t.settle();
  expect(t.act((host) => consumeEvent(host, 0, port))).toBe(true);
});

test("a thread waits for an event at a port", () => {
  const t = new TestHost();
  const { domid, local, remote } = channel(t);
  const seen: number[] = [];
  const waiter = routine(
    "test_evtchn_waiter",
    (a: { port: number }) => ({ ...a }),
    ({ step, forever, waitFor }) => [
      forever("events", [
        waitFor("event", (host, l) => eventPending(host, 0, l.port)),
        step("take", (host, l) => {
          consumeEvent(host, 0, l.port);
          seen.push(l.port);
        }),
      ]),
    ],
  );
  t.act((host) => spawnThread(host, "dom0/waiter", waiter, { port: remote }));
  t.settle();
  expect(seen).toEqual([]);
  for (let i = 0; i < 2; i++) {
    t.act((host) => op.send(host, kernel(domid), { port: local }));
    t.settle();
  }
  expect(seen).toEqual([remote, remote]);
});

test("a domain may have 1023 ports, the lowest free one first", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  t.act((host) => {
    for (let port = 1; port <= 1023; port++)
      expect(op.allocUnbound(host, xl, { domid, remoteDomid: 0 })).toEqual({ port });
    expect(op.allocUnbound(host, xl, { domid, remoteDomid: 0 })).toEqual({ errno: "ENOSPC" });
    op.close(host, kernel(domid), { port: 500 });
    expect(op.allocUnbound(host, xl, { domid, remoteDomid: 0 })).toEqual({ port: 500 });
  });
});

test("a kill closes 64 ports a slice; a reset too, and only of a paused domain", () => {
  const t = new TestHost();
  const domid = t.makeDomain();
  const ports = (): number =>
    Array.from({ length: 301 }, (_, port) => evtchnPort(t.world, domid, port)).filter(
      (chn) => chn !== undefined,
    ).length;
  const fill = (): void =>
    t.act((host) => {
      for (let i = 0; i < 300; i++) op.allocUnbound(host, xl, { domid, remoteDomid: 0 });
    });
  fill();
  t.act((host) => spawnThread(host, "dom0/reset", op.reset, { caller: xl, domid }));
  const left: number[] = [];
  while (t.world.runnable.length > 0) {
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
    left.push(ports() - 1);
  }
  expect(left).toEqual([236, 172, 108, 44, 0]);
  fill();
  t.destroy(domid);
  const counts: number[] = [];
  for (let count = ports(); count > 1; count = ports()) {
    counts.push(count - 1);
    t.world.perform({ thread: t.world.runnable[0] as string, choice: 0 });
  }
  expect(counts).toEqual([300, 236, 172, 108, 44]);
  t.settle();
  const other = t.makeDomain();
  t.act((host) => domctl.unpausedomain(host, xl, other));
  t.act((host) => spawnThread(host, "dom0/reset2", op.reset, { caller: xl, domid: other }));
  t.settle();
  expect(
    t.trace.findLast((record) => record.kind === "hypercall" && record.data.op === "evtchn_op reset")?.data,
  ).toMatchObject({ result: "EINVAL" });
});

test("since 4.21 the handler learns which domains changed, 4.17 has to look at all", () => {
  for (const version of ["4.17", "4.23"] as const) {
    const t = new TestHost({ version });
    const states = (): unknown[] =>
      t.act((host) => {
        const found: unknown[] = [];
        for (let state = getDomainState(host, xenstored); ; state = getDomainState(host, xenstored)) {
          if ("errno" in state) return [...found, state.errno];
          found.push(`${state.domid}${state.exists ? "" : " gone"}${state.dead ? " dead" : ""}`);
        }
      });
    t.act((host) => op.bindVirq(host, xenstored, { virq: VIRQ_DOM_EXC, vcpu: 0 }));
    if (version === "4.17") {
      expect(states()).toEqual(["ENOSYS"]);
      continue;
    }
    expect(states()).toEqual(["0", "ENOENT"]);
    const [first, second] = [t.makeDomain(), t.makeDomain()];
    expect(states()).toEqual([`${first}`, `${second}`, "ENOENT"]);
    t.destroy(first);
    t.settle();
    expect(states()).toEqual([`${first} gone`, "ENOENT"]);
  }
});
