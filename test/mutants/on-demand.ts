// SPDX-License-Identifier: Apache-2.0

import { cellType, must } from "../../src/core/engine/cells.ts";
import { fail, isFailure } from "../../src/core/engine/errno.ts";
import type { Failure } from "../../src/core/engine/errno.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { CDF_hap, CDF_hvm } from "../../src/core/hypervisor/create.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { createdomain, destroydomain, maxMem } from "../../src/core/hypervisor/domctl.ts";
import { mapForeignBatch, unmapForeignBatch } from "../../src/core/hypervisor/foreign-map.ts";
import { decreaseReservation, populatePhysmap } from "../../src/core/hypervisor/memory-op.ts";
import { gfnToMfn } from "../../src/core/hypervisor/p2m.ts";
import { getGfn } from "../../src/core/hypervisor/pod-populate.ts";
import { setPodTarget } from "../../src/core/hypervisor/pod-target.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

const tool = { domid: 0, process: "tool" };
const kernel = { domid: 1, process: "kernel" };
const MAPPED = 7;
const SUPERPAGE = 512;

/** The first thing that was not as it should be, and the frame that the tool maps. */
const seenCell = cellType<{ wrong: string | null; mapped: number }>("mutants-on-demand");

/** A domain of three superpages of entries, and memory for one and a bit. */
function build(host: Host): Failure | undefined {
  host.add(seenCell, 0, { wrong: null, mapped: -1 });
  const made = createdomain(host, tool, { flags: CDF_hvm | CDF_hap, emulationFlags: 1 });
  if (isFailure(made)) return made;
  const { domid } = made;
  const results = [
    maxMem(host, tool, { domid, maxMemkb: 8192 }),
    setPodTarget(host, tool, { domid, targetPages: SUPERPAGE + 8 }),
    populatePhysmap(host, tool, { domid, gpfns: [0, SUPERPAGE, 2 * SUPERPAGE], order: 9, onDemand: true }),
  ];
  return results.find(isFailure);
}

/** The guest writes to a frame, which is empty where it has not touched it yet. */
function touch(host: Host, gfn: number, fresh: boolean): Failure | undefined {
  const d = domainById(host, 1);
  const mfn = d === undefined ? -1 : getGfn(host, d, gfn, 1);
  if (mfn < 0) return fail("ENOMEM");
  if (fresh && !host.memory.isZero(mfn))
    host.edit(seenCell, 0).wrong ??= `frame ${gfn} is populated with what was there`;
  host.memory.write(mfn, 0, Uint8Array.of(9));
  return undefined;
}

function checkMapped(host: Host): string | null {
  const d = domainById(host, 1);
  const mapped = host.get(seenCell, 0)?.mapped ?? -1;
  if (d === undefined || d.isDying !== "alive" || mapped < 0) return null;
  return gfnToMfn(host, d, MAPPED) === mapped ? null : `frame ${MAPPED} is another than what is mapped`;
}

export default scenario({
  name: "on-demand",
  about: "a domain's memory is populated on demand, given back, taken back and populated again",
  host: {},
  script: (words) => [
    words.step("build", build),
    words.step("write to the first", (host) => touch(host, 5, true)),
    words.step("a tool maps a frame", (host) => {
      const mapped = mapForeignBatch(host, tool, { domid: 1, gfns: [MAPPED, 1], readonly: true });
      const d = domainById(host, 1);
      if (!isFailure(mapped) && d !== undefined) host.edit(seenCell, 0).mapped = gfnToMfn(host, d, MAPPED);
    }),
    words.step("give the first back", (host) => {
      const given = decreaseReservation(host, kernel, { domid: 1, gmfns: [5], order: 0 });
      return isFailure(given) ? given : undefined;
    }),
    ...Array.from({ length: 16 }, (_, i) =>
      words.step(`write to ${i} of the second`, (host) => touch(host, SUPERPAGE + i, true)),
    ),
    words.call("destroydomain", destroydomain, () => ({ caller: { domid: 0, process: "killer" }, domid: 1 })),
    words.step(
      "the tool lets go",
      (host) =>
        void unmapForeignBatch(host, tool, { mfns: [must(host, seenCell, 0).mapped, 1], readonly: true }),
    ),
    operator(words).until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
  ],
  always: {
    "frames and entries are as counted": (host) =>
      domainById(host, 1) === undefined ? null : (checkLedger(host, 1)[0] ?? null),
    "what is populated is empty": (host) => host.get(seenCell, 0)?.wrong ?? null,
    "what a tool maps stays where it is": checkMapped,
  },
  sometimes: {
    "domain 1 is dead": (host) => domainIsDead(host, 1),
    "a frame is mapped": (host) => (host.get(seenCell, 0)?.mapped ?? -1) >= 0,
  },
  finally: {
    "domain 1 is freed": (host) => (domainIsFreed(host, 1) ? null : "somebody holds on to it for ever"),
  },
});
