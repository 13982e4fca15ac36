// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { spawnThread } from "../engine/thread.ts";
import { domainConsoleCell, consoleTty, readConsole } from "../daemons/xenconsoled-cells.ts";
import { domainCell } from "../hypervisor/domain.ts";
import * as domctl from "../hypervisor/domctl.ts";
import { TestHost, TOOLSTACK } from "./testing.ts";

/** What xenconsoled asked, in order, reads included. */
function asked(host: TestHost): string[] {
  return host.wire("xenconsoled/xs").flatMap((line) => (line.startsWith("in ") ? [line.slice(3)] : []));
}

/** Grant and event channel calls of xenconsoled. */
function calls(host: TestHost): string[] {
  return host.records.flatMap((r) =>
    r.kind === "hypercall" && r.data.caller === "d0/xenconsoled" ? [`${r.data.op} dom=${r.data.dom}`] : [],
  );
}

describe("xenconsoled", () => {
  test("watches domains, then a domain's console, in the recorded order", () => {
    const host = new TestHost();
    expect(asked(host)).toEqual(["WATCH @introduceDomain domlist", "WATCH @releaseDomain domlist"]);
    host.records.length = 0;
    host.build("mode=idle", { name: "gb" });
    const xspath = "/local/domain/1/console";
    expect(asked(host).slice(0, 13)).toEqual([
      "GET_DOMAIN_PATH 1",
      `WATCH ${xspath} dom1`,
      `READ ${xspath}/ring-ref`,
      `READ ${xspath}/ring-ref`,
      `READ ${xspath}/ring-ref`,
      `READ ${xspath}/port`,
      `READ ${xspath}/type`,
      `READ ${xspath}/limit`,
      `WRITE ${xspath}/tty /dev/pts/0`,
      "GET_DOMAIN_PATH 1",
      "READ /local/domain/1/name",
      `READ ${xspath}/ring-ref`,
      `READ ${xspath}/port`,
    ]);
    expect(calls(host)).toEqual(["grant_table_op map_grant_ref dom=1", "evtchn_op bind_interdomain dom=1"]);
    expect(consoleTty(host.world, 1)).toBe("/dev/pts/0");
  });

  test("logs what a domain prints under its name, and keeps it for the terminal's reader", () => {
    const host = new TestHost();
    const domid = host.build("mode=idle", { name: "gb" });
    host.unpause(domid);
    host.untilPrinted(domid, "GUEST: up");
    const logged = host.records.flatMap((r) => (r.kind === "console" ? [r.data.log] : []));
    expect(new Set(logged)).toEqual(new Set(["/var/log/xen/console/guest-gb.log"]));
    expect(host.act((h) => readConsole(h, domid))).toBe(host.console(domid));
    expect(host.act((h) => readConsole(h, domid))).toBe("");
  });

  test("takes all of what a busy domain prints, though the ring holds 2048 bytes", () => {
    const host = new TestHost();
    const domid = host.build("mode=tick");
    host.unpause(domid);
    host.pass(300);
    const ticks = host.console(domid).match(/tick \d+/g) ?? [];
    expect(ticks.length).toBeGreaterThan(290);
    expect(ticks).toEqual(ticks.map((_, at) => `tick ${at}`));
  });

  test("unmaps a dead domain's console when it is told, which frees the domain", () => {
    const host = new TestHost();
    const domid = host.build("mode=idle");
    host.unpause(domid);
    host.untilPrinted(domid, "GUEST: up");
    host.records.length = 0;
    host.act((h) => {
      domctl.pausedomain(h, TOOLSTACK, domid);
      spawnThread(h, "test/destroy", domctl.destroydomain, { caller: TOOLSTACK, domid });
    });
    host.settle();
    expect(asked(host).filter((line) => !line.startsWith("READ"))).toEqual([
      `UNWATCH /local/domain/${domid}/console dom${domid}`,
    ]);
    expect(calls(host)).toContain(`grant_table_op unmap_grant_ref dom=${domid}`);
    expect(host.world.get(domainConsoleCell, domid)).toBeUndefined();
    expect(host.world.get(domainCell, domid)).toBeUndefined();
  });

  test("gives the lowest free terminal", () => {
    const host = new TestHost();
    const [a, b] = [host.build("mode=idle"), host.build("mode=idle")];
    expect([a, b].map((domid) => must(host.world, domainConsoleCell, domid).pty)).toEqual([0, 1]);
  });
});
