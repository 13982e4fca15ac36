// SPDX-License-Identifier: Apache-2.0
//
// Filling a new domain from a saved one (tools/libs/guest/xg_sr_restore.c,
// xg_sr_restore_x86_pv.c, xg_sr_restore_x86_hvm.c): its memory page by page, the
// state of its vCPUs, its first grants. Then its guest is there again.

import {
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
} from "../../abi/4.17/constants.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { stderr } from "../daemons/process.ts";
import { restoreGuest } from "../guest/restore.ts";
import { setCpuPolicy } from "../hypervisor/cpu-policy-op.ts";
import { settscinfo } from "../hypervisor/domain-settings.ts";
import { setvcpucontext } from "../hypervisor/domctl-vcpu.ts";
import { setParam } from "../hypervisor/hvm-op.ts";
import { populatePhysmap } from "../hypervisor/memory-op.ts";
import { mmuextPin } from "../hypervisor/mmuext-op.ts";
import { bootContext } from "./build-hvm.ts";
import { sethvmcontext } from "../hypervisor/hvm-context.ts";
import type { Ports } from "./build-pre.ts";
import { TSC_DEFAULT } from "./build-pre.ts";
import { seedGrantTable } from "./gnttab-seed.ts";
import { dom0 } from "./libxl-ctx.ts";
import { xcPerror } from "./log.ts";
import type { SavedImage } from "./save-image.ts";

/** Pages one record of the stream has at most (MAX_BATCH_SIZE). */
const BATCH = 1024;

/** What the helper is told: what is in the stream, and the ports of the new domain's rings. */
export type RestoreArgs = { type: "pv" | "pvh"; image: SavedImage; ports: Ports };

/** Where the rings are in the new domain: machine frames of a PV guest, guest frames of others. */
export type RestoredRings = { storeMfn: number; consoleMfn: number };

/** A page-sized record: guest frames in a row. */
type Batch = { start: number; pages: number };

function batches(image: SavedImage): Batch[] {
  return image.memory.flatMap(({ start, pages }) =>
    Array.from({ length: Math.ceil(pages / BATCH) }, (_, i) => ({
      start: start + i * BATCH,
      pages: Math.min(BATCH, pages - i * BATCH),
    })),
  );
}

/** Machine frames of those guest frames that somebody will ask for. */
type Wanted = { pfn: number; mfn: number }[];

const mfnOfPfn = (wanted: Wanted, pfn: number): number =>
  wanted.find((entry) => entry.pfn === pfn)?.mfn ?? -1;

/** Populates every frame the stream has contents for; the machine frames of those that are wanted. */
const processPages = routine(
  "process_page_data",
  (a: { process: string; parent: string; domid: number; image: SavedImage; pfns: readonly number[] }) => ({
    ...a,
    batch: { start: 0, pages: 0 },
    wanted: [] as Wanted,
  }),
  ({ each, step }) => [
    each(
      "record",
      (l) => batches(l.image),
      (l, batch) => void (l.batch = batch),
      [
        step("populate_physmap", (host, l) => {
          const { start, pages } = l.batch;
          const gpfns = Array.from({ length: pages }, (_, i) => start + i);
          const done = populatePhysmap(host, dom0(l.process), { domid: l.domid, gpfns, order: 0 });
          if (isFailure(done) || done.done < pages) {
            xcPerror(host, l.parent, "Failed to populate physmap", "ENOMEM");
            return fail("ENOMEM");
          }
          for (const pfn of l.pfns) {
            if (pfn >= start && pfn < start + pages)
              l.wanted.push({ pfn, mfn: done.mfns[pfn - start] as number });
          }
          return;
        }),
      ],
    ),
  ],
  (l) => l.wanted,
);

/** A PV domain's first vCPU: the registers it had, its page table pinned again. */
function pvVcpu(host: Host, process: string, domid: number, cr3: number): 0 | Failure {
  const set = setvcpucontext(host, dom0(process), { domid, vcpu: 0, context: { online: true, cr3 } });
  return isFailure(set) ? set : mmuextPin(host, dom0(process), { domid, level: 4, mfn: cr3 });
}

/** A translated domain's context, and the parameters it finds its rings by. */
function hvmVcpu(host: Host, process: string, domid: number, { image, ports }: RestoreArgs): 0 | Failure {
  const params = [
    [HVM_PARAM_STORE_PFN, image.storePfn],
    [HVM_PARAM_CONSOLE_PFN, image.consolePfn],
    [HVM_PARAM_STORE_EVTCHN, ports.storePort],
    [HVM_PARAM_CONSOLE_EVTCHN, ports.consolePort],
  ] as const;
  for (const [index, value] of params) {
    const set = setParam(host, dom0(process), { domid, index, value: BigInt(value) });
    if (isFailure(set)) return set;
  }
  const data = bootContext(host, process, domid);
  return isFailure(data) ? data : sethvmcontext(host, dom0(process), { domid, data });
}

/** What libxc has to say when it is done. */
function restoredLines({ type, image, ports }: RestoreArgs, storeMfn: number, consoleMfn: number): string {
  const [store, console] = type === "pv" ? [storeMfn, consoleMfn] : [image.storePfn, image.consolePfn];
  const ring = (name: string, frame: number, port: number): string =>
    `xc: info: ${name}: mfn 0x${frame.toString(16)}, dom 0, evt ${port}\n`;
  const rings = ring("XenStore", store, ports.storePort) + ring("Console", console, ports.consolePort);
  return `xc: info: Restore successful\n${rings}`;
}

/** Restores a domain from what was saved (xc_domain_restore); where its rings are. */
export const restoreInto = routine(
  "xc_domain_restore",
  (a: { process: string; parent: string; domid: number; restore: RestoreArgs }) => ({
    ...a,
    wanted: [] as Wanted,
    top: a.restore.image.memory[0]?.start ?? 0,
  }),
  ({ step, call }) => [
    step("set_cpu_policy", (host, l) => {
      const type = l.restore.type === "pv" ? "PV" : "HVM";
      stderr(
        host,
        l.parent,
        `xc: info: Found x86 ${type} domain from Xen 4.17\nxc: info: Restoring domain\n`,
      );
      const set = setCpuPolicy(host, dom0(l.process), { domid: l.domid });
      return isFailure(set) ? set : undefined;
    }),
    call(
      "pages",
      processPages,
      ({ process, parent, domid, restore, top }) => ({
        process,
        parent,
        domid,
        image: restore.image,
        pfns: [restore.image.storePfn, restore.image.consolePfn, top],
      }),
      (l, wanted) => void (l.wanted = wanted),
    ),
    step("stream_complete", (host, { process, domid, restore, wanted, top }) => {
      const tsc = settscinfo(host, dom0(process), { domid, tsc: TSC_DEFAULT });
      if (isFailure(tsc)) return tsc;
      const vcpu =
        restore.type === "pv"
          ? pvVcpu(host, process, domid, mfnOfPfn(wanted, top))
          : hvmVcpu(host, process, domid, restore);
      return isFailure(vcpu) ? vcpu : undefined;
    }),
    step("xc_dom_gnttab_seed", (host, l) => {
      const { process, domid, wanted } = l;
      const { image, ports, type } = l.restore;
      const [storeMfn, consoleMfn] = [mfnOfPfn(wanted, image.storePfn), mfnOfPfn(wanted, image.consolePfn)];
      const seeded =
        type === "pv"
          ? seedGrantTable(host, process, domid, consoleMfn, storeMfn)
          : seedGrantTable(host, process, domid, image.consolePfn, image.storePfn);
      if (isFailure(seeded)) return seeded;
      stderr(host, l.parent, restoredLines(l.restore, storeMfn, consoleMfn));
      return restoreGuest(
        host,
        { domid, type, commandLine: "", nrVcpus: image.nrVcpus, storeMfn, consoleMfn, ...ports },
        image.guest,
      );
    }),
  ],
  ({ restore: { type, image }, wanted }): RestoredRings =>
    type === "pv"
      ? { storeMfn: mfnOfPfn(wanted, image.storePfn), consoleMfn: mfnOfPfn(wanted, image.consolePfn) }
      : { storeMfn: image.storePfn, consoleMfn: image.consolePfn },
);
