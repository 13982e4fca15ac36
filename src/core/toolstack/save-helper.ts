// SPDX-License-Identifier: Apache-2.0
//
// libxl-save-helper: a process of its own that reads a suspended domain, or
// fills a new one (tools/libs/light/libxl_save_helper.c, tools/libs/guest/
// xg_sr_save.c, xg_sr_restore.c). The process that started it suspends the domain
// when asked to, and prints what the helper has to say.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { errnoNumber, fail, isFailure } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { exitProcess, hasExited, reap, spawnProcess, stderr } from "../daemons/process.ts";
import { saveGuest } from "../guest/save.ts";
import { getCpuPolicy } from "../hypervisor/cpu-policy-op.ts";
import { gettscinfo } from "../hypervisor/domain-settings.ts";
import { getvcpucontext, getvcpuinfo } from "../hypervisor/domctl-vcpu.ts";
import { domainInfo } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { xcError, xcPerror } from "./log.ts";
import { restoreInto } from "./restore-helper.ts";
import type { RestoreArgs, RestoredRings } from "./restore-helper.ts";
import { readMemory, saveImage } from "./save-image.ts";
import type { SavedImage } from "./save-image.ts";

const SHUTDOWN_SUSPEND = 2;

/** What a helper and the process that started it tell each other, by the helper's name. */
interface Talk {
  /** The helper asks for the domain to be suspended; the answer is whether it was. */
  suspend: "not asked" | "asked" | "done" | "failed";
  result: SavedImage | RestoredRings | null;
}

const talkCell = cellType<Talk>("libxl-save-helper");

/** Whether the helper wants something or has ended. */
export function helperWaits(cells: Cells, helper: string): boolean {
  return must(cells, talkCell, helper).suspend === "asked" || hasExited(cells, helper);
}

/** Whether it asks to have the domain suspended. */
export function wantsSuspend(cells: Cells, helper: string): boolean {
  return must(cells, talkCell, helper).suspend === "asked";
}

/** Tells it whether that worked. */
export function answerSuspend(cells: Cells, helper: string, suspended: boolean): void {
  cells.edit(talkCell, helper).suspend = suspended ? "done" : "failed";
}

/** An ended helper's exit status and what it found out; it is forgotten then. */
export function reapHelper(cells: Cells, helper: string): { status: number; result: Talk["result"] } {
  const { result } = must(cells, talkCell, helper);
  cells.drop(talkCell, helper);
  return { status: reap(cells, helper), result: result as Talk["result"] };
}

/** How far pages come in one batch, and by how many percent progress must grow to be worth a line. */
const BATCH = 1024;
const PROGRESS_PERCENT = 5;

/** The lines about pages that were written (stdiostream_progress). Shown details count as lines, too. */
function framesLines(pages: number, detailed: boolean): string {
  let text = "";
  let last = 0;
  for (let written = Math.min(BATCH, pages); ; written = Math.min(written + BATCH, pages)) {
    const percent = Math.floor((written * 100) / pages);
    const shown = percent >= last + PROGRESS_PERCENT;
    if (shown) text += `xc: progress: Frames: ${written}/${pages}  ${String(percent).padStart(3)}%\n`;
    if (shown || (detailed && percent > last)) last = percent;
    if (written === pages) return text;
  }
}

/** What of a helper's work is shown: progress, and details beside it. */
type Shown = { detailed: boolean; progress: boolean };

/** A helper's job: for which domain, in whose name it speaks, what is shown of it. */
type Job = { process: string; parent: string; domid: number } & Shown;

/**
 * Reads a domain that can be suspended (xc_domain_save): what there is to know before, the suspend, what
 * stays still after.
 */
const saveDomain = routine(
  "xc_domain_save",
  (a: Job) => ({ ...a, vcpus: 0, pages: 0 }),
  ({ step, waitFor }) => [
    step("setup", (host, l) => {
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) {
        xcError(host, l.parent, `Domain ${l.domid} does not exist: Internal error`);
        return fail("ESRCH");
      }
      l.vcpus = info.maxVcpuId + 1;
      l.pages = info.totPages;
      stderr(
        host,
        l.parent,
        `xc: info: Saving domain ${l.domid}, type x86 ${info.hvmGuest ? "HVM" : "PV"}\n`,
      );
      const policy = getCpuPolicy(host, dom0(l.process), { domid: l.domid });
      if (isFailure(policy)) return policy;
      host.edit(talkCell, l.process).suspend = "asked";
      return;
    }),
    waitFor("callbacks->suspend", (host, l) => must(host, talkCell, l.process).suspend !== "asked"),
    step("suspended", (host, l) => {
      if (must(host, talkCell, l.process).suspend === "failed") {
        xcError(host, l.parent, "save callback suspend() failed: 0: Internal error");
        return fail("EINVAL");
      }
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) return info;
      if (info.shutdown && info.shutdownCode === SHUTDOWN_SUSPEND) return undefined;
      const state = `shutdown ${Number(info.shutdown)}, reason ${info.shutdownCode}`;
      xcError(host, l.parent, `Domain has not been suspended: ${state}: Internal error`);
      return fail("EINVAL");
    }),
    step("memory and vCPUs", (host, l) => {
      const caller = dom0(l.process);
      const tsc = gettscinfo(host, caller, { domid: l.domid });
      if (isFailure(tsc)) return tsc;
      for (let vcpu = 0; vcpu < l.vcpus; vcpu++) {
        const info = getvcpuinfo(host, caller, { domid: l.domid, vcpu });
        if (isFailure(info)) return info;
        if (info.online) getvcpucontext(host, caller, { domid: l.domid, vcpu });
      }
      const memory = readMemory(host, l.process, l.domid);
      host.edit(talkCell, l.process).result = saveImage(host, l.domid, saveGuest(host, l.domid), memory);
      if (!l.progress) return;
      const frames = framesLines(l.pages, l.detailed);
      stderr(host, l.parent, `${frames}xc: progress: End of stream: 0/0    0%\n`);
      return;
    }),
  ],
);

/** The helper's main: saves or restores, says so where that failed, and exits with the error number. */
const helper = routine(
  "libxl-save-helper",
  (a: Job & { restore: RestoreArgs | null }) => ({
    ...a,
    errno: null as Errno | null,
    rings: null as RestoredRings | null,
  }),
  ({ attempt, when, call, step }) => [
    attempt([
      when(
        "--restore-domain",
        (l) => l.restore !== null,
        [
          call(
            "restore",
            restoreInto,
            ({ process, parent, domid, restore }) => ({
              process,
              parent,
              domid,
              restore: restore as RestoreArgs,
            }),
            (l, rings) => void (l.rings = rings),
          ),
          step("restore_results", (host, l) => void (host.edit(talkCell, l.process).result = l.rings)),
        ],
        [
          call("save", saveDomain, ({ process, parent, domid, detailed, progress }) => ({
            process,
            parent,
            domid,
            detailed,
            progress,
          })),
        ],
      ),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("exit", (host, l) => {
      if (l.errno !== null)
        xcPerror(host, l.parent, `${l.restore === null ? "Save" : "Restore"} failed`, l.errno);
      exitProcess(host, l.process, l.errno === null ? 0 : errnoNumber(l.errno));
    }),
  ],
);

/** Starts a helper for a domain: to save it, or with `restore` to fill it. Its name. */
export function startHelper(
  host: Host,
  parent: string,
  domid: number,
  restore: RestoreArgs | null,
  { detailed, progress }: Shown = { detailed: false, progress: false },
): string {
  const name = `${parent}/save-helper`;
  host.add(talkCell, name, { suspend: "not asked", result: null });
  const argv = [
    "/usr/lib/xen-4.17/bin/libxl-save-helper",
    restore === null ? "--save-domain" : "--restore-domain",
    String(domid),
  ];
  return spawnProcess(
    host,
    name,
    argv,
    helper,
    { parent, domid, restore, detailed, progress },
    { awaited: true },
  );
}
