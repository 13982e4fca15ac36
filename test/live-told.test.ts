// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { inject } from "../src/live/dom0.ts";
import { Problem } from "../src/live/problem.ts";
import { requires } from "./capabilities.ts";
import { RealHost } from "./conformance/real-host.ts";
import { Told, waitUntil } from "./live-told.ts";

const patience = { timeoutMs: 50, everyMs: 5 };

test("who waits in vain is told what the host warned of", async () => {
  const told = new Told();
  told.options.warn("the disk is full");
  const error = await waitUntil("a guest is up", () => false, [told], patience).catch(
    (e: Error) => e.message,
  );
  expect(error).toMatch(/^it did not happen: a guest is up\nthe host warned:\n {2}the disk is full\n/);
});

test("nobody waits for a host that has stopped", async () => {
  const told = new Told();
  told.options.crashed(new Problem("the host has stopped: no cell", null));
  const began = performance.now();
  const wait = waitUntil("a guest is up", () => false, [told], { timeoutMs: 60_000, everyMs: 5 });
  await expect(wait).rejects.toThrow("CRASHED the host has stopped: no cell");
  expect(performance.now() - began).toBeLessThan(30_000);
});

requires("c-compiler")("a live host", () => {
  test("says which domains there are, where their threads stand and what happened last", async () => {
    const host = await RealHost.start();
    try {
      const told = new Told();
      told.listen(host.live);
      inject(host.live, ["slow-script", "/etc/xen/scripts/vif-bridge", "0.6"]);
      expect(told.words()).toMatch(/^domains:\n {2}d0 alive$/m);
      expect(told.words()).toMatch(/^what happened last:\n {2}\d+\.\d{6} \(fault\): fault .*slow-script/m);
    } finally {
      await host.stop();
    }
  });
});
