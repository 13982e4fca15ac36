// SPDX-License-Identifier: Apache-2.0
//
// Frames that are taken from a guest whose kernel has something in them.

import { describe, expect, test } from "vitest";
import type { Host } from "../engine/host.ts";
import { guestOf } from "../guest/guest.ts";
import { checkLedger } from "../hypervisor/check-ledger.ts";
import { domainById } from "../hypervisor/domain.ts";
import { decreaseReservation, mfnToGfn, removeFromPhysmap } from "../hypervisor/memory-op.ts";
import { NO_FRAME } from "../hypervisor/runs.ts";
import { XlHost } from "./testing.ts";

const tool = { domid: 0, process: "tool" };
const PAGE_BYTES = 4096;

/** A host with a PVH domain 1 that prints a line a second. */
function ticking(): XlHost {
  const host = new XlHost();
  host.write("/tmp/g.cfg", 'name = "g"\ntype = "pvh"\nmemory = 16\nextra = "mode=tick"\n');
  expect(host.xl("xl create /tmp/g.cfg")).toMatchObject({ status: 0 });
  host.pass(5);
  return host;
}

const printed = (host: XlHost): string =>
  host.records
    .flatMap(({ kind, data }) => (kind === "console" ? [(data as { text: string }).text] : []))
    .join("");

const ways: readonly [string, (host: Host, gfn: number) => unknown][] = [
  ["out of its address space", (host, gpfn) => removeFromPhysmap(host, tool, { domid: 1, gpfn })],
  ["for good", (host, gfn) => decreaseReservation(host, tool, { domid: 1, gmfns: [gfn] })],
];

describe.each(ways)("a frame is taken %s", (_how, take) => {
  test.each(["consoleMfn", "storeMfn"] as const)("%s: the guest writes to it no more, and lives", (which) => {
    const host = ticking();
    const mfn = guestOf(host.world, 1)[which];
    host.act((h) => take(h, mfnToGfn(h, mfn)));
    expect(mfnToGfn(host.world, mfn)).toBe(NO_FRAME);
    host.pass(1);
    const [then, said] = [host.world.memory.read(mfn, 0, PAGE_BYTES).slice(), printed(host).length];
    expect(said).toBeGreaterThan(0);
    host.xl("xl sysrq g s");
    host.pass(10);
    if (which === "consoleMfn") {
      expect(printed(host)).toHaveLength(said);
      expect(host.world.memory.read(mfn, 0, PAGE_BYTES)).toEqual(then);
    } else {
      // Xenstored puts the event there, and nobody takes it.
      expect(host.node("/local/domain/1/control/sysrq")).toBe("s");
      expect(printed(host).length).toBeGreaterThan(said);
    }
    expect(domainById(host.world, 1)).toMatchObject({ isDying: "alive", shutdown: "none" });
    expect(checkLedger(host.world, 1)).toEqual([]);
  });
});
