// SPDX-License-Identifier: Apache-2.0
//
// Memory populated on demand by the built-in xl: `maxmem` above `memory`.

import { describe, expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import { balloonCell } from "../guest/balloon.ts";
import { checkLedger } from "../hypervisor/check-ledger.ts";
import { domainPagesCell } from "../hypervisor/domain.ts";
import { podCounts } from "../hypervisor/pod-cell.ts";
import { XlHost } from "./testing.ts";

function config(...lines: readonly string[]): string {
  return ['name = "g"', 'type = "pvh"', 'extra = "mode=idle"', ...lines, ""].join("\n");
}

/** A host with a domain 1 that has 16 MiB and may have 32. */
function withDomain(...lines: readonly string[]): XlHost {
  const host = new XlHost();
  host.write("/tmp/g.cfg", config("memory = 16", "maxmem = 32", ...lines));
  expect(host.xl("xl create /tmp/g.cfg")).toMatchObject({ status: 0 });
  host.pass(2);
  return host;
}

const pages = (host: XlHost, domid: number): number => must(host.world, domainPagesCell, domid).totPages;
const memoryOf = (host: XlHost): string | undefined => host.xl("xl list g").stdout.split(/\s+/).at(-5);

describe("a PVH guest with maxmem above memory", () => {
  test("balloons down, and has what it is to have", () => {
    const host = withDomain();
    const { entries, cached } = podCounts(host.world, 1);
    expect(entries).toBe(cached);
    expect(pages(host, 1)).toBe(4096 + 8);
    expect(must(host.world, balloonCell, 1).ballooned).toHaveLength(4096);
    expect(host.node("/local/domain/1/memory/static-max")).toBe("32768");
    expect(checkLedger(host.world, 1)).toEqual([]);
  });

  test("mem-set goes up to maxmem and down again", () => {
    const host = withDomain();
    for (const [line, pagesThen] of [
      ["xl mem-set g 32", 8192],
      ["xl mem-set g 8", 2048],
      ["xl mem-set g 20", 5120],
    ] as const) {
      expect(host.xl(line)).toMatchObject({ status: 0 });
      host.pass(2);
      expect([line, pages(host, 1)]).toEqual([line, pagesThen + 8]);
      expect(checkLedger(host.world, 1)).toEqual([]);
    }
    expect(memoryOf(host)).toBe("20");
    expect(host.xl("xl mem-set g 33").stderr).toContain("must be less than or equal to memory_static_max");
  });

  test("save, restore and destroy: nothing is left", () => {
    const host = withDomain();
    host.xl("xl destroy g");
    host.pass(2);
    const before = host.footprint();
    expect(host.xl("xl create /tmp/g.cfg").status).toBe(0);
    host.pass(2);
    expect(host.xl("xl save g /root/g.save").status).toBe(0);
    host.pass(1);
    expect(host.xl("xl restore /root/g.save").status).toBe(0);
    host.pass(2);
    expect(memoryOf(host)).toBe("16");
    expect(podCounts(host.world, 3)).toEqual({ entries: 0, cached: 0 });
    expect(host.xl("xl destroy g").status).toBe(0);
    host.pass(2);
    for (const type of ["pod", "run", "domain", "page"])
      expect([type, host.footprint().get(type)]).toEqual([type, before.get(type)]);
  });

  test("where the host has not even the memory it is to have at first", () => {
    const host = new XlHost();
    host.write("/tmp/g.cfg", config("memory = 4000", "maxmem = 8000"));
    const created = host.xl("xl create /tmp/g.cfg");
    expect(created.status).toBe(3);
    expect(created.stderr).toContain("can't allocate low memory for domain: Out of memory");
    host.pass(1);
    expect(host.exists(1)).toBe(false);
  });

  test("its limit may be more than the host has", () => {
    const host = new XlHost();
    host.write("/tmp/g.cfg", config("memory = 32", "maxmem = 8000"));
    expect(host.xl("xl create /tmp/g.cfg")).toMatchObject({ status: 0 });
    expect(podCounts(host.world, 1)).toEqual({ entries: 2_048_000, cached: 8192 });
  });
});
