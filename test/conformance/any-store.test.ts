// SPDX-License-Identifier: Apache-2.0
//
// Xen's own xenstoreds in ours' place: kernels speak to them in bytes over
// rings, so that an orderly shutdown must look just as it did on real Xen. The C
// daemon's part in all recorded scenarios is test/golden/live.test.ts.

import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requires } from "../capabilities.ts";
import { folder, startXenolith, xenolith } from "../e2e/xenolith.ts";
import { play } from "../golden/live-play.ts";

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 30_000, interval: 50 }).toBe(true);
}

requires("xen-utils", "c-compiler")("xenolith up --xenstored c", () => {
  test("a daemon that is killed is missed, and the host ends well without it", async () => {
    const dir = join(folder(), "host");
    const config = join(folder(), "gb.cfg");
    fs.writeFileSync(config, 'name = "gb"\nmemory = 32\n');
    const host = startXenolith(["up", "--xenstored", "c", "--dir", dir]);
    await host.printed(/Try:/);
    expect(xenolith(["xl", "--dir", dir, "create", config])).toMatchObject({ code: 0 });
    const status = (): string => xenolith(["status", "--dir", dir]).out;
    const before = status();
    expect(before).toContain("\ngb ");
    const pid = Number(/^xenstored +\S+ \(C xenstored, pid (\d+)\)$/m.exec(before)?.[1]);
    expect(fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain("/usr/lib/xen-4.17/bin/xenstored");

    process.kill(pid, "SIGKILL");
    await until(() => status().includes("xenstored  gone: "));
    expect(status()).toMatch(/^xenstored {2}gone: \S+ has ended \(SIGKILL\)$/m);
    expect(xenolith(["xl", "--dir", dir, "list"])).toEqual({
      code: 1,
      out: "",
      err:
        "libxl: error: libxl.c:108:libxl_ctx_alloc: cannot connect to xenstore: Connection refused\n" +
        "cannot init xl context\n",
    });
    expect(xenolith(["down", "--dir", dir]).code).toBe(0);
    expect((await host.ended).code).toBe(0);
    expect(host.err).toMatch(/^xenolith: xenstored is gone: \S+ has ended \(SIGKILL\)\./m);
  }, 60_000);

  test("a host takes its daemon with it, even when it is killed", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const dir = join(folder(), "host");
      const host = startXenolith(["up", "--xenstored", "c", "--dir", dir]);
      await host.printed(/Try:/);
      const status = xenolith(["status", "--json", "--dir", dir]).out;
      const { store } = JSON.parse(status) as { store: { pid: number } };
      expect(fs.existsSync(`/proc/${store.pid}`)).toBe(true);
      host.process.kill(signal);
      await host.ended;
      await until(() => !fs.existsSync(`/proc/${store.pid}`));
    }
  }, 60_000);
});

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("the real oxenstored", () => {
  // What of it is another is in test/golden/differences-oxenstored.md.
  for (const xl of ["builtin", "real"] as const) {
    test(`${xl} xl: states, words, hypercalls and nodes are as on real Xen`, async () => {
      const { ours, differences, warnings } = await play("b-orderly-shutdown", { xenstored: "ocaml", xl });
      expect(differences).toEqual([]);
      expect(warnings).toEqual([]);
      const gone = ours.snapshots.find(({ name }) => name === "gone")?.nodes.map(({ path }) => path) ?? [];
      expect(gone).toContain("/local/domain/0/name");
      expect(gone.filter((path) => path.startsWith("/local/domain/2"))).toEqual([]);
    }, 90_000);
  }
});
