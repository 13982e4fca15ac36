// SPDX-License-Identifier: Apache-2.0
//
// A QEMU that outlives its domain, and what it keeps of it.

import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { clearFaults, injectFault } from "../engine/fault.ts";
import { checkLedger } from "../hypervisor/check-ledger.ts";
import { domainCell, domainPagesCell } from "../hypervisor/domain.ts";
import { XlHost } from "./testing.ts";

function hostWith(type: "hvm" | "pv"): XlHost {
  const host = new XlHost();
  host.write("/tmp/g.cfg", `name = "g"\ntype = "${type}"\nmemory = 32\n`);
  expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
  return host;
}

test("a destroyed HVM domain stays while QEMU maps its IOREQ pages and memory, and goes with it", () => {
  const host = hostWith("hvm");
  host.act((on) => expect(injectFault(on, "keep-qemu", ["1"])).toBe(0));
  host.pass(1);
  expect(host.xl("xl destroy g").status).toBe(0);
  host.pass(5);
  expect(host.xl("xl list").stdout).toMatch(/^\(null\) +1 +0 +1 +--p--d /m);
  const { totPages, extraPages } = must(host.world, domainPagesCell, 1);
  expect(totPages).toBe(4 + extraPages.length);
  expect(extraPages).toHaveLength(2);
  host.act((on) => expect(checkLedger(on, 1)).toEqual([]));
  host.act((on) => void clearFaults(on, "keep-qemu", ["1"]));
  host.pass(1);
  expect(host.world.get(domainCell, 1)).toBeUndefined();
});

test("no second QEMU of a domain while the first has not ended", () => {
  const host = hostWith("hvm");
  host.act((on) => expect(injectFault(on, "keep-qemu", ["1"])).toBe(0));
  host.pass(1);
  host.act((on) => {
    clearFaults(on, "keep-qemu", ["1"]);
    expect(injectFault(on, "keep-qemu", ["1"])).toMatchObject({
      why: "the QEMU of domain 1 has not ended yet: try again",
    });
  });
  host.pass(1);
  host.act((on) => expect(injectFault(on, "keep-qemu", ["1"])).toBe(0));
});

test.each([
  ["pv", "1", "domain 1 is a PV domain: it has no device model"],
  ["hvm", "9", "there is no domain 9"],
  ["hvm", "one", "there is no domain one"],
] as const)("on a %s guest's host, for domain %s: %s", (type, domid, why) => {
  const host = hostWith(type);
  host.act((on) =>
    expect(injectFault(on, "keep-qemu", [domid])).toMatchObject({ why: expect.stringContaining(why) }),
  );
});
