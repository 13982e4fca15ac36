// SPDX-License-Identifier: Apache-2.0
//
// A driver domain: backends that are not dom0's. What it holds of others, and
// what becomes of them when it is compromised and lets go of nothing.

import { expect, test } from "vitest";
import { spawnThread, threadCell } from "../engine/thread.ts";
import { domainCell, domainPagesCell } from "../hypervisor/domain.ts";
import * as domctl from "../hypervisor/domctl.ts";
import { activeGrants } from "../hypervisor/grant-table.ts";
import { must } from "../engine/cells.ts";
import { devdProcess } from "../guest/driver-domain.ts";
import { TestHost, TOOLSTACK } from "../guest/testing.ts";
import { devdCell } from "../guest/devd-cell.ts";
/* eslint-disable-next-line import/no-unassigned-import -- a driver domain's init calls it by name */
import "./verbs/devd.ts";

/** A driver domain that serves another domain's interface, connected. */
function served(): { host: TestHost; net: number; domid: number } {
  const host = new TestHost();
  const net = host.build("mode=idle backend=1", { name: "net" });
  host.write(`/local/domain/${net}/domid`, String(net));
  host.unpause(net);
  host.untilPrinted(net, "GUEST: up");
  const domid = host.build("mode=idle dev=1 ping=1", { name: "guest" });
  const frontend = `/local/domain/${domid}/device/vif/0`;
  const backend = `/local/domain/${net}/backend/vif/${domid}/0`;
  const nodes = (dir: string, entries: readonly (readonly [string, string])[]): ["WRITE", string][] =>
    entries.map(([name, value]) => ["WRITE", `${dir}/${name}\0${value}`]);
  host.store(
    ["TRANSACTION_START", "\0"],
    ["WRITE", `${frontend}\0`],
    ["SET_PERMS", `${frontend}\0n${domid}\0r${net}\0`],
    ["WRITE", `${backend}\0`],
    ["SET_PERMS", `${backend}\0n${net}\0r${domid}\0`],
    ...nodes(frontend, [
      ["backend", backend],
      ["backend-id", String(net)],
      ["handle", "0"],
      ["mac", "00:16:3e:00:00:01"],
      ["state", "1"],
    ]),
    ...nodes(backend, [
      ["frontend", frontend],
      ["frontend-id", String(domid)],
      ["online", "1"],
      ["script", "/etc/xen/scripts/vif-bridge"],
      ["mac", "00:16:3e:00:00:01"],
      ["handle", "0"],
      ["hotplug-status", ""],
      ["state", "1"],
    ]),
    ["TRANSACTION_END", "T\0"],
  );
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  host.settle();
  expect(host.read(`${frontend}/state`)).toBe("4");
  expect(host.read(`${backend}/state`)).toBe("4");
  return { host, net, domid };
}

/** Who maps what of a domain: mappers by reference, the toolstack's left out. */
function mappers(host: TestHost, domid: number): number[] {
  return [...activeGrants(host.world, domid)].filter(([ref]) => ref >= 8).map(([, { domid: by }]) => by);
}

function kill(host: TestHost, domid: number): void {
  host.act((h) => {
    domctl.pausedomain(h, TOOLSTACK, domid);
    spawnThread(h, `test/destroy${domid}`, domctl.destroydomain, { caller: TOOLSTACK, domid });
  });
}

/** Destroys the guest as libxl does: nodes first, the backend told to go. */
function destroy(host: TestHost, net: number, domid: number): void {
  const backend = `/local/domain/${net}/backend/vif/${domid}/0`;
  host.write(`${backend}/online`, "0");
  host.store(["RM", `/local/domain/${domid}/device/vif/0\0`]);
  kill(host, domid);
  host.pass(20);
}

test("its kernel threads and its mappings are its own, not dom0's", () => {
  const { host, net, domid } = served();
  const threads = (host.world.ids(threadCell) as string[]).filter((name) => name.includes(`vif${domid}.0`));
  expect(threads.every((name) => name.startsWith(`dom${net}/`))).toBe(true);
  expect(threads.length).toBeGreaterThanOrEqual(3);
  expect(new Set(mappers(host, domid))).toEqual(new Set([net]));
  destroy(host, net, domid);
  expect(host.world.get(domainCell, domid)).toBeUndefined();
});

test("its devd runs the script once, and removes what is no longer served from xenstore", () => {
  const { host, net, domid } = served();
  const backend = `/local/domain/${net}/backend/vif/${domid}/0`;
  expect(host.read(`${backend}/hotplug-status`)).toBe("connected");
  const { devices } = must(host.world, devdCell, devdProcess(net));
  expect(devices).toEqual([{ dir: backend, domid }]);
  // Told of again, it does nothing; one that closes and is to stay, stays.
  host.write(`${backend}/online`, "1");
  host.settle();
  expect(must(host.world, devdCell, devdProcess(net)).devices).toHaveLength(1);
  destroy(host, net, domid);
  expect(must(host.world, devdCell, devdProcess(net)).devices).toEqual([]);
  expect(host.read(`${backend}/state`)).toBe(host.read("/nowhere"));
});

test("compromised, it holds those it serves hostage, until it dies itself", () => {
  const { host, net, domid } = served();
  host.inject("refuse-unmap", String(net));
  destroy(host, net, domid);
  // The backend has closed in due form, and kept the pages: nothing in Xen can take them back.
  expect(host.world.get(domainCell, domid)?.isDying).toBe("dead");
  expect(must(host.world, domainPagesCell, domid).totPages).toBeGreaterThan(0);
  expect(new Set(mappers(host, domid))).toEqual(new Set([net]));
  host.pass(600);
  expect(host.world.get(domainCell, domid)?.isDying).toBe("dead");
  // What Xen can do is release what the mapper maps, when the mapper is killed.
  kill(host, net);
  host.pass(5);
  expect(host.world.get(domainCell, net)).toBeUndefined();
  expect(host.world.get(domainCell, domid)).toBeUndefined();
  // The fault outlives the domain it was about; clearing it does no harm.
  host.clear();
});

test("that comes to its senses lets go, and the zombie is freed", () => {
  const { host, net, domid } = served();
  host.inject("refuse-unmap", String(net));
  destroy(host, net, domid);
  expect(host.world.get(domainCell, domid)?.isDying).toBe("dead");
  host.clear();
  host.settle();
  expect(host.world.get(domainCell, domid)).toBeUndefined();
  expect(host.world.get(domainCell, net)?.isDying).toBe("alive");
});

test("the fault is refused for domains that are not there", () => {
  const host = new TestHost();
  expect(() => host.inject("refuse-unmap", "7")).toThrow("there is no domain 7");
  expect(() => host.inject("refuse-unmap", "dom0")).toThrow("there is no domain dom0");
});
