// SPDX-License-Identifier: Apache-2.0
//
// A PV guest's memory and first vCPU (tools/libs/light/libxl_dom.c,
// libxl__build_pv; tools/libs/guest/xg_dom_boot.c, xg_dom_x86.c). Where
// something fails, libxc says what in its own words, and libxl which part it was.

import { isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { startGuest } from "../guest/boot.ts";
import { setAddressSize } from "../hypervisor/domain-settings.ts";
import { setvcpucontext } from "../hypervisor/domctl-vcpu.ts";
import { mmuextPin } from "../hypervisor/mmuext-op.ts";
import type { BuildConfig } from "./build-config.ts";
import type { Rings } from "./build-post.ts";
import type { Ports } from "./build-pre.ts";
import { seedGrantTable } from "./gnttab-seed.ts";
import { BUILTIN_IMAGE } from "./kernel-image.ts";
import type { KernelImage } from "./kernel-image.ts";
import {
  bootImageFailed,
  buildDomFailed,
  isFile,
  noMemory,
  openDomFile,
  parseImage,
  xcDomPanic,
} from "./libxc.ts";
import { dom0 } from "./libxl-ctx.ts";
import { complaining, libxlDebug } from "./log.ts";
import { mfnOf, populateClaimed } from "./populate.ts";
import type { Populated } from "./populate.ts";
import { pvLayout } from "./pv-layout.ts";
import type { PvLayout } from "./pv-layout.ts";

const PAGE_SIZE = 4096;

type MemArgs = { process: string; domid: number; pages: number; claim: boolean };

/** A PV domain's memory (meminit_pv). Fails as the hypercall that failed did. */
const memInit = routine(
  "meminit_pv",
  (a: MemArgs) => ({
    ...a,
    populated: null as Populated | null,
  }),
  ({ step, call }) => [
    step("set_address_size", (host, l) => {
      const set = setAddressSize(host, dom0(l.process), { domid: l.domid, size: 64 });
      return isFailure(set) ? set : undefined;
    }),
    call(
      "populate",
      populateClaimed,
      ({ process, domid, pages, claim }) => ({ process, domid, claim, stretches: [{ start: 0, pages }] }),
      (l, populated) => void (l.populated = populated[0] as Populated),
    ),
  ],
  (l) => present(l.populated),
);

/** Puts the kernel to its start (bootlate_pv, vcpu_x86_64): its page tables pinned, its first vCPU with registers. */
const bootImage = routine(
  "xc_dom_boot_image",
  (a: { process: string; domid: number; cr3: number }) => ({ ...a }),
  ({ step }) => [
    step("pin page tables", (host, l) => {
      const pinned = mmuextPin(host, dom0(l.process), { domid: l.domid, level: 4, mfn: l.cr3 });
      return isFailure(pinned) ? pinned : undefined;
    }),
    step("setvcpucontext", (host, l) => {
      const set = setvcpucontext(host, dom0(l.process), {
        domid: l.domid,
        vcpu: 0,
        context: { online: true, cr3: l.cr3 },
      });
      return isFailure(set) ? set : undefined;
    }),
  ],
);

/** Opens the kernel and its modules: what kind of kernel it is, how many pages the modules fill. */
function openFiles(
  host: Host,
  process: string,
  { kernel, ramdisk }: BuildConfig,
): { image: KernelImage; modulePages: number } | Failure {
  let modulePages = 0;
  if (isFile(kernel)) {
    const where = "libxl_dom.c:646:libxl__build_pv";
    const opened = openDomFile(host, process, kernel, where, "xc_dom_kernel_file");
    if (isFailure(opened)) return opened;
  }
  if (ramdisk !== null && ramdisk !== "") {
    const where = "libxl_dom.c:659:libxl__build_pv";
    const opened = openDomFile(host, process, ramdisk, where, "xc_dom_ramdisk_file");
    if (isFailure(opened)) return opened;
    modulePages = Math.ceil(opened.length / PAGE_SIZE);
  }
  const image = parseImage(host, process, kernel);
  return isFailure(image) ? image : { image, modulePages };
}

/** Where everything lies in the guest's memory. Fails, and libxc says so, where it does not fit. */
function buildImage(
  host: Host,
  process: string,
  { image, modulePages }: { image: KernelImage; modulePages: number },
  pages: number,
): PvLayout | Failure {
  const layout = pvLayout(image, modulePages, pages);
  if (!("panic" in layout)) return layout;
  const text = `xc_dom_chk_alloc_pages: ${layout.panic}`;
  xcDomPanic(host, process, "xg_dom_core.c:536", text, "Out of memory");
  // No call failed: errno is still that of the last file that was looked for in vain.
  return buildDomFailed(host, process, 594, "xc_dom_build_image", "ENOENT");
}

const memArgs = ({
  process,
  domid,
  build,
}: {
  process: string;
  domid: number;
  build: BuildConfig;
}): MemArgs => ({
  process,
  domid,
  pages: build.targetMemkb >> 2,
  claim: build.claim,
});

/**
 * Builds a PV guest: opens its files, fills its memory, sets its first vCPU up,
 * grants its rings. Nothing of it runs before it is unpaused.
 */
export const buildPv = routine(
  "libxl__build_pv",
  (a: { process: string; domid: number; build: BuildConfig; ports: Ports }) => ({
    ...a,
    errno: "EIO" as Errno,
    files: { image: BUILTIN_IMAGE, modulePages: 0 },
    memory: null as Populated | null,
    cr3: 0,
    rings: { ...a.ports, storeMfn: 0, consoleMfn: 0 } as Rings,
  }),
  (words) => {
    const { step, call, attempt } = words;
    const complain = complaining(words);
    return [
      step("xc_dom_kernel_file, xc_dom_parse_image", (host, l) => {
        const files = openFiles(host, l.process, l.build);
        if (isFailure(files)) return files;
        l.files = files;
        const text = `pv kernel mapped 0 path ${l.build.kernel}`;
        libxlDebug(host, l.process, "libxl_dom.c:633:libxl__build_pv", text);
        return;
      }),
      attempt([
        call("xc_dom_boot_mem_init", memInit, memArgs, (l, memory) => void (l.memory = memory)),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [step("no memory", (host, l) => noMemory(host, l.process, l.errno))],
      ),
      step("xc_dom_build_image", (host, l) => {
        const layout = buildImage(host, l.process, l.files, l.build.targetMemkb >> 2);
        if (isFailure(layout)) return layout;
        const memory = present(l.memory);
        l.cr3 = mfnOf(memory, layout.l4);
        l.rings.storeMfn = mfnOf(memory, layout.xenstore);
        l.rings.consoleMfn = mfnOf(memory, layout.console);
        return;
      }),
      complain(bootImageFailed, [
        call("xc_dom_boot_image", bootImage, ({ process, domid, cr3 }) => ({ process, domid, cr3 })),
      ]),
      step("xc_dom_gnttab_init", (host, { process, domid, rings }) => {
        const seeded = seedGrantTable(host, process, domid, rings.consoleMfn, rings.storeMfn);
        return isFailure(seeded)
          ? buildDomFailed(host, process, 602, "xc_dom_gnttab_init", seeded.errno)
          : undefined;
      }),
      step("the kernel is in place", (host, { domid, build, rings }) =>
        startGuest(host, {
          domid,
          type: "pv",
          commandLine: build.cmdline ?? "",
          nrVcpus: build.maxVcpus,
          ...rings,
        }),
      ),
    ];
  },
  (l) => l.rings,
);
