// SPDX-License-Identifier: Apache-2.0
//
// What a toolstack can ask of a guest and its backends that nobody means to.

import { expect, test } from "vitest";
import { addBridge } from "../drivers/backend-devices.ts";
import { gnttabCell } from "../drivers/gnttab.ts";
import { netfrontCell } from "../drivers/netfront-cells.ts";
import { allocPage } from "../drivers/pages.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { pagesInUseCell } from "../hypervisor/pages-in-use.ts";
import { TestHost } from "./testing.ts";

function said(host: TestHost): string[] {
  return host.records.flatMap((r) => (r.kind === "printk" ? [r.data.text] : []));
}

test.each([
  ["shutdown", ["poweroff", "poweroff"]],
  ["shutdown", ["reboot", "reboot"]],
  ["sysrq", ["c", "c"]],
  ["sysrq", ["o", "o"]],
])("control/%s of %j before the first is done ends the guest once", (node, requests) => {
  const host = new TestHost();
  const domid = host.build("mode=idle");
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  for (const request of requests) host.write(`/local/domain/${domid}/control/${node}`, request);
  host.until((world) => world.get(domainCell, domid)?.shutdown === "complete", "it has shut down");
  const ends = host.records.filter((r) => r.kind === "domain" && r.data.state === "shutdown");
  expect(ends).toHaveLength(1);
});

test("control/shutdown after reboot is not even acknowledged (shutting_down)", () => {
  const host = new TestHost();
  const domid = host.build("mode=idle");
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  const node = `/local/domain/${domid}/control/shutdown`;
  host.write(node, "reboot");
  host.until(() => host.read(node) === "", "the request is acknowledged");
  host.write(node, "halt");
  host.until((world) => world.get(domainCell, domid)?.shutdown === "complete", "it has shut down");
  expect(host.read(node)).toBe("halt");
});

test("control/sysrq without a key: at boot, and when the kernel itself has emptied it (sysrq_handler)", () => {
  const host = new TestHost();
  const domid = host.build("mode=idle");
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  const errors = (): number => said(host).filter((text) => /Error -34 reading sysrq code/.test(text)).length;
  expect(errors()).toBe(1);
  host.write(`/local/domain/${domid}/control/sysrq`, "s");
  host.settle();
  expect(said(host)).toContainEqual(expect.stringContaining("sysrq: HELP"));
  expect(errors()).toBe(2);
});

test("a second interface of the same handle is refused, and the first one stays", () => {
  const host = new TestHost();
  host.act((h) => addBridge(h, "xenbr0"));
  const domid = host.build("mode=idle dev=1");
  host.addNic(domid, 0, "xenbr0");
  const more = {
    frontend: `/local/domain/${domid}/device/vif/1`,
    backend: `/local/domain/0/backend/vif/${domid}/1`,
  };
  host.store(
    ["WRITE", `${more.frontend}/backend\0${more.backend}`],
    ["WRITE", `${more.frontend}/state\x001`],
    ...Object.entries({
      frontend: more.frontend,
      "frontend-id": String(domid),
      script: "x",
      handle: "0",
      state: "1",
    }).map(([name, value]): ["WRITE", string] => ["WRITE", `${more.backend}/${name}\0${value}`]),
  );
  host.settle();
  expect(said(host)).toContainEqual(expect.stringMatching(/vif-1-1: 17 creating interface/));
  expect(host.read(`${more.backend}/state`)).toBe("5");
  expect(host.states("vif", domid, 0)).toBe("2 1");
});

test("interfaces for which a guest's grant table is too small fail, and the guest lives", () => {
  const host = new TestHost();
  host.act((h) => addBridge(h, "xenbr0"));
  const domid = host.build("mode=idle dev=1", { vcpus: 8, pages: 1024 });
  for (let at = 0; at < 9; at++) host.addNic(domid, at, "xenbr0");
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  host.settle();
  const queues = Array.from({ length: 9 }, (_, at) =>
    host.world.get(netfrontCell, `dom${domid}/device/vif/${at}`),
  );
  expect(queues.some((netfront) => (netfront?.queues ?? 0) < 8)).toBe(true);
  expect(host.world.get(domainCell, domid)?.shutdown).toBe("none");
});

test("a guest whose memory was taken away finds no page, and its grant references are as before", () => {
  const host = new TestHost();
  const domid = host.build("mode=idle dev=1", { pages: 16 });
  host.act((h) => {
    for (let left = 16; left > 0; left--) allocPage(h, domid);
    expect(allocPage(h, domid)).toEqual({ errno: "ENOMEM" });
    expect(h.get(pagesInUseCell, domid)?.mfns).toHaveLength(16);
    expect(h.get(gnttabCell, domid)).toBeUndefined();
  });
});
