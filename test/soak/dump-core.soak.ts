// SPDX-License-Identifier: Apache-2.0
//
// The real xl dumps a PVH domain: it asks for every guest frame below the highest,
// a million of which a small domain has none of. Every page it has is in the
// file, with what is in it.

import { closeSync, openSync, readSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { gfnToMfn, p2m } from "../../src/core/hypervisor/p2m.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { RealHost } from "../conformance/real-host.ts";

const PAGE_BYTES = 4096;
/** In the place of a page that xl expected, by the domain's count, and did not find. */
const NO_PAGE = 2n ** 64n - 1n;

/** Where a section of the file is. */
function section(file: string, name: string): { offset: number; size: number } {
  const text = execFileSync("readelf", ["-S", "-W", file], {
    env: { ...process.env, LC_ALL: "C" },
  }).toString();
  // [Nr] Name Type Address Off Size …
  const found = new RegExp(`\\] ${name.replace(".", "\\.")} +\\S+ +\\S+ (\\S+) (\\S+)`).exec(text);
  if (found === null) throw new Error(`no section ${name}:\n${text}`);
  return { offset: Number.parseInt(found[1] ?? "", 16), size: Number.parseInt(found[2] ?? "", 16) };
}

/** Whether xl looks at a guest frame at all: not in the VGA hole, nor among devices (xc_core_arch_gpfn_may_present). */
function mayBePresent(gfn: number): boolean {
  return !(gfn >= 0xa0 && gfn < 0xc0) && !(gfn >= 0xf0000 && gfn < 0x100000);
}

/** The pages of a dump that differ from the domain's memory, and how many there are. */
function compare(host: RealHost, domid: number, file: string): { pages: number; different: number[] } {
  const { world } = host.live;
  const d = domainById(world, domid);
  if (d === undefined) throw new Error("the domain is gone");
  const [list, pages] = [section(file, ".xen_pfn"), section(file, ".xen_pages")];
  const fd = openSync(file, "r");
  const gfns = new BigUint64Array(list.size / 8);
  readSync(fd, gfns, 0, list.size, list.offset);
  const different: number[] = [];
  const page = new Uint8Array(PAGE_BYTES);
  const dumped = gfns.filter((gfn) => gfn !== NO_PAGE);
  for (const [at, gfn] of dumped.entries()) {
    readSync(fd, page, 0, PAGE_BYTES, pages.offset + at * PAGE_BYTES);
    const mfn = gfnToMfn(world, d, Number(gfn));
    if (mfn < 0 || !Buffer.from(world.memory.read(mfn, 0, PAGE_BYTES)).equals(page))
      different.push(Number(gfn));
  }
  closeSync(fd);
  return { pages: dumped.length, different };
}

/** One domain, dumped while it runs. */
export const round: SoakRound = async (seed) => {
  const host = await RealHost.start();
  try {
    const memory = 16 + (seed % 3) * 16;
    // Every other one has memory on demand: who reads it has it populated.
    const more = [`memory = ${memory}`, `maxmem = ${memory + (seed % 2) * 32}`];
    await host.ok("xl", "create", "-q", host.config("big", "pvh", more));
    const domid = await host.domid("big");
    await host.up(domid);
    const file = join(host.folder, "core");
    const since = performance.now();
    await host.ok("xl", "dump-core", "big", file);
    const seconds = Math.round((performance.now() - since) / 1000);
    const { pages, different } = compare(host, domid, file);
    let expected = 0;
    for (const { start, count } of runsOf(host.live.world, p2m(domid)))
      for (let gfn = start; gfn < start + count; gfn++) if (mayBePresent(gfn)) expected++;
    if (different.length > 0)
      throw new Error(`seed ${seed}: pages ${different.slice(0, 8).join(" ")} differ`);
    if (pages !== expected) throw new Error(`seed ${seed}: ${pages} pages of ${expected} were dumped`);
    await host.ok("xl", "destroy", "big");
    await host.gone(domid);
    return { pages, seconds };
  } finally {
    await host.stop();
  }
};
