// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { balloonCell, balloonWaitFinish } from "./balloon.ts";
import { TestHost } from "./testing.ts";

test("a kernel that has too much waits for its balloon before it goes on, and says so", () => {
  const host = new TestHost();
  const domid = host.build("mode=idle");
  host.unpause(domid);
  host.untilPrinted(domid, "GUEST: up");
  const before = must(host.world, balloonCell, domid).currentPages;
  host.act((h) => {
    h.edit(balloonCell, domid).targetPages = before - 20;
    taskRun(h, domid, "late_initcall_sync", balloonWaitFinish, { domid });
  });
  host.untilPrinted(domid, "xen:balloon: Waiting for initial ballooning down having finished.");
  host.untilPrinted(domid, "xen:balloon: Initial ballooning down finished.");
  expect(must(host.world, balloonCell, domid).currentPages).toBe(before - 20);
});
