// SPDX-License-Identifier: Apache-2.0
//
// A PV guest's memory and first vCPU (tools/libs/light/libxl_dom.c,
// libxl__build_pv; tools/libs/guest/xg_dom_boot.c, xg_dom_x86.c). Where
// something fails, libxc says what in its own words, and libxl which part it was.

import { fail, isFailure } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
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
import { isFile, openDomFile, parseImage, xcDomPanic } from "./libxc.ts";
import { dom0 } from "./libxl-ctx.ts";
import { complaining, reported } from "./log.ts";
import { mfnOf, populateClaimed } from "./populate.ts";
import type { Populated } from "./populate.ts";
import { pvLayout } from "./pv-layout.ts";
import { ERROR_FAIL } from "./rc.ts";
import { strerror } from "./strerror.ts";

const PAGE_SIZE = 4096;

/** A PV domain's memory (meminit_pv). Fails as the hypercall that failed did. */
const memInit = routine(
  "meminit_pv",
  (a: { process: string; domid: number; pages: number; claim: boolean }) => ({
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
  (l) => l.populated as Populated,
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

/**
 * Builds a PV guest: opens its files, fills its memory, sets its first vCPU up,
 * grants its rings. Nothing of it runs before it is unpaused.
 */
export const buildPv = routine(
  "libxl__build_pv",
  (a: { process: string; domid: number; build: BuildConfig; ports: Ports }) => ({
    ...a,
    errno: "EIO" as Errno,
    modulePages: 0,
    image: BUILTIN_IMAGE,
    memory: null as Populated | null,
    cr3: 0,
    rings: { ...a.ports, storeMfn: 0, consoleMfn: 0 } as Rings,
  }),
  (words) => {
    const { step, call, attempt } = words;
    const complain = complaining(words);
    return [
      step("xc_dom_kernel_file", (host, l) => {
        if (!isFile(l.build.kernel)) return;
        const kernel = openDomFile(
          host,
          l.process,
          l.build.kernel,
          "libxl_dom.c:646:libxl__build_pv",
          "xc_dom_kernel_file",
        );
        return isFailure(kernel) ? kernel : undefined;
      }),
      step("xc_dom_module_file", (host, l) => {
        if (l.build.ramdisk === null || l.build.ramdisk === "") return;
        const where = "libxl_dom.c:659:libxl__build_pv";
        const ramdisk = openDomFile(host, l.process, l.build.ramdisk, where, "xc_dom_ramdisk_file");
        if (isFailure(ramdisk)) return ramdisk;
        l.modulePages = Math.ceil(ramdisk.length / PAGE_SIZE);
        return;
      }),
      step("xc_dom_parse_image", (host, l) => {
        const image = parseImage(host, l.process, l.build.kernel);
        if (isFailure(image)) return image;
        l.image = image;
        return;
      }),
      attempt([
        call(
          "xc_dom_boot_mem_init",
          memInit,
          ({ process, domid, build }) => ({
            process,
            domid,
            pages: build.targetMemkb >> 2,
            claim: build.claim,
          }),
          (l, memory) => void (l.memory = memory),
        ),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [
          step("no memory", (host, l) => {
            const text = "xc_dom_boot_mem_init: can't allocate low memory for domain";
            xcDomPanic(host, l.process, "xg_dom_boot.c:119", text, "Out of memory");
            return reported(
              host,
              l.process,
              "libxl_dom.c:586:libxl__build_dom",
              "xc_dom_boot_mem_init failed",
              fail(l.errno),
            );
          }),
        ],
      ),
      step("xc_dom_build_image", (host, l) => {
        const layout = pvLayout(l.image, l.modulePages, l.build.targetMemkb >> 2);
        if ("panic" in layout) {
          xcDomPanic(
            host,
            l.process,
            "xg_dom_core.c:536",
            `xc_dom_chk_alloc_pages: ${layout.panic}`,
            "Out of memory",
          );
          // No call failed: errno is still that of the last file that was looked for in vain.
          return reported(
            host,
            l.process,
            "libxl_dom.c:594:libxl__build_dom",
            "xc_dom_build_image failed",
            fail("ENOENT"),
          );
        }
        const memory = l.memory as Populated;
        l.cr3 = mfnOf(memory, layout.l4);
        l.rings = {
          ...l.rings,
          storeMfn: mfnOf(memory, layout.xenstore),
          consoleMfn: mfnOf(memory, layout.console),
        };
        return;
      }),
      complain(
        {
          where: "libxl_dom.c:598:libxl__build_dom",
          text: (l) => `xc_dom_boot_image failed: ${strerror(l.errno)}`,
          as: ERROR_FAIL,
          plain: true,
        },
        [call("xc_dom_boot_image", bootImage, ({ process, domid, cr3 }) => ({ process, domid, cr3 }))],
      ),
      step("xc_dom_gnttab_init", (host, l) => {
        const { storeMfn, consoleMfn } = l.rings;
        const seeded = seedGrantTable(host, l.process, l.domid, consoleMfn, storeMfn);
        if (!isFailure(seeded)) return undefined;
        return reported(
          host,
          l.process,
          "libxl_dom.c:602:libxl__build_dom",
          "xc_dom_gnttab_init failed",
          seeded,
        );
      }),
      step("the kernel is in place", (host, l) => {
        startGuest(host, {
          domid: l.domid,
          type: "pv",
          commandLine: l.build.cmdline ?? "",
          nrVcpus: l.build.maxVcpus,
          ...l.rings,
        });
      }),
    ];
  },
  (l) => l.rings,
);
