// SPDX-License-Identifier: Apache-2.0
//
// QEMU is killed at any moment from its start on: while libxl waits for it, while
// the firmware waits for its answers, while the guest runs. Whatever becomes of
// the domain, it can be destroyed, and nothing is left of either.

import * as fs from "node:fs";
import { join } from "node:path";
import { must } from "../../src/core/engine/cells.ts";
import { heapCell } from "../../src/core/hypervisor/heap.ts";
import type { SoakRound } from "../../scripts/soak-round.ts";
import { RealHost, until } from "../conformance/real-host.ts";

const CONFIG = 'name = "web"\ntype = "hvm"\nmemory = 16\nvcpus = 2\nvga = "none"\nvnc = 0\nserial = "none"\n';
/** Kills in a round, and how much later each is than the one before, in ms. */
const KILLS = 8;
const LATER_MS = 40;

/** The process of this host's QEMU, or null while there is none. */
function qemuOf(host: RealHost): number | null {
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!fs.readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("xen-qemu-system")) continue;
      if (fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(host.where.dir)) return Number(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  return null;
}

/** Pages that any QEMU maps. */
function mappedByQemu(host: RealHost): number {
  return host.mappedBy((process) => process.startsWith("xen-qemu-system"));
}

/** Kills the QEMU of a domain that is being created, that long after its start; whether xl created the domain. */
async function killedAfter(host: RealHost, config: string, ms: number): Promise<boolean> {
  const created = host.run("xl", "create", config);
  let pid: number | null = null;
  await until("there is a QEMU", () => (pid = qemuOf(host)) !== null, 30_000);
  await new Promise((resolve) => setTimeout(resolve, ms));
  process.kill(pid as unknown as number, "SIGKILL");
  return (await created).code === 0;
}

/** One host, whose QEMUs are killed one after another. */
export const round: SoakRound = async (seed) => {
  const host = await RealHost.start();
  try {
    const freePages = (): number => must(host.live.world, heapCell, 0).freePages;
    const file = join(host.folder, "web.cfg");
    fs.writeFileSync(file, CONFIG);
    const before = freePages();
    let created = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      if (await killedAfter(host, file, kill * LATER_MS + (seed % LATER_MS))) created++;
      await host.run("xl", "destroy", "web");
      await until("its memory is free", () => freePages() === before, 30_000);
      const problems = [...host.ledgerProblems(), ...host.warnings];
      if (mappedByQemu(host) > 0) problems.push("a QEMU that is gone maps pages");
      if (problems.length > 0) throw new Error(`seed ${seed}, kill ${kill}: ${problems.join("; ")}`);
    }
    return { kills: KILLS, created };
  } finally {
    await host.stop();
  }
};
