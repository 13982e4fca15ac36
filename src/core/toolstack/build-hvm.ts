// SPDX-License-Identifier: Apache-2.0
//
// An HVM or PVH guest's memory and first vCPU (tools/libs/light/libxl_dom.c,
// libxl__build_hvm; tools/libs/guest/xg_dom_x86.c, meminit_hvm). Guest frames
// below 4 GiB leave room for devices and for the pages Xen and the guest share.

import {
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
} from "../../abi/4.17/constants.ts";
import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { startGuest } from "../guest/boot.ts";
import { setPagingMempool } from "../hypervisor/domain-settings.ts";
import { gethvmcontext, sethvmcontext } from "../hypervisor/hvm-context.ts";
import { setParam } from "../hypervisor/hvm-op.ts";
import { setMemoryMap } from "../hypervisor/memory-op.ts";
import type { BuildConfig } from "./build-config.ts";
import type { Rings } from "./build-post.ts";
import type { Ports } from "./build-pre.ts";
import { seedGrantTable } from "./gnttab-seed.ts";
import { BUILTIN_IMAGE } from "./kernel-image.ts";
import { bootImageFailed, buildDomFailed, isFile, noMemory, openDomFile, parseImage } from "./libxc.ts";
import { dom0 } from "./libxl-ctx.ts";
import { complaining, libxlError, reported } from "./log.ts";
import { mfnOf, populate, populateClaimed } from "./populate.ts";
import type { Populated, Stretch } from "./populate.ts";
import { ERROR_NONSPECIFIC } from "./rc.ts";

/** The pages Xen and the guest share, eight below 4 GiB less 4 MiB (xg_dom_x86.c, special_pfn). */
const SPECIAL_FIRST = 0xfeff8;
const SPECIAL_PAGES = 8;
const SPECIAL = {
  paging: 0,
  access: 1,
  sharing: 2,
  bufioreq: 3,
  xenstore: 4,
  ioreq: 5,
  identPt: 6,
  console: 7,
} as const;
const specialPfn = (which: keyof typeof SPECIAL): number => SPECIAL_FIRST + SPECIAL[which];

/** Where the hole below 4 GiB begins: for QEMU's devices, or just for ACPI tables and the special pages. */
const MMIO_START = { hvm: 0xf0000, pvh: 0xfc000 } as const;
const FOUR_GIB = 1 << 20;

/** Parameters by number (public/hvm/params.h). */
const PARAM = {
  ioreqPfn: 5,
  bufioreqPfn: 6,
  timerMode: 10,
  identPt: 12,
  pagingRing: 27,
  monitorRing: 28,
  sharingRing: 29,
  altp2m: 35,
} as const;

/** A guest's memory in pages, without the video memory that QEMU makes room for. */
function pagesOf({ maxMemkb, videoMemkb }: BuildConfig): number {
  return (maxMemkb - videoMemkb) >> 2;
}

/** Pages a guest is to have at first, where it may come to have more: its memory is populated on demand then. */
function pagesOnDemand({ maxMemkb, targetMemkb, videoMemkb }: BuildConfig): number | null {
  return maxMemkb > targetMemkb ? (targetMemkb - videoMemkb) >> 2 : null;
}

/** Guest memory from frame 0 on, with a hole below 4 GiB. */
function stretches(type: "hvm" | "pvh", pages: number): Stretch[] {
  const hole = MMIO_START[type];
  const low = Math.min(pages, hole);
  const high = { start: FOUR_GIB, pages: pages - low };
  return [{ start: 0, pages: low }, ...(high.pages > 0 ? [high] : [])];
}

/** Entries of the memory map: memory below 4 GiB and above; for PVH also the special pages and three ACPI tables. */
function memoryMapEntries(type: "hvm" | "pvh", pages: number): number {
  return 1 + (type === "pvh" ? 4 : 0) + (pages > MMIO_START[type] ? 1 : 0);
}

/** A context that gives vCPU 0 registers, and no other (vcpu_hvm). */
export function bootContext(host: Host, process: string, domid: number): Uint8Array | Failure {
  const whole = gethvmcontext(host, dom0(process), { domid });
  if (isFailure(whole)) return whole;
  const descriptor = abi.hvm_save_descriptor;
  const header = descriptor.sizeof + hvmSave.HEADER.length;
  const bytes = new Uint8Array(header + descriptor.sizeof + hvmSave.CPU.length + descriptor.sizeof);
  bytes.set(whole.subarray(0, header));
  descriptor.typecode.set(viewOf(bytes), hvmSave.CPU.typecode, header);
  descriptor.length.set(viewOf(bytes), hvmSave.CPU.length, header);
  return bytes;
}

/** Sets parameters one after another; the first that cannot be set is the failure. */
function setParams(
  host: Host,
  process: string,
  domid: number,
  values: readonly (readonly [number, number])[],
): void | Failure {
  for (const [index, value] of values) {
    const set = setParam(host, dom0(process), { domid, index, value: BigInt(value) });
    if (isFailure(set)) return set;
  }
}

/** What the guest finds its rings by (bootlate_hvm, libxl__arch_domain_create). */
const bootImage = routine(
  "xc_dom_boot_image(hvm)",
  (a: { process: string; domid: number; ports: Ports }) => ({ ...a }),
  ({ step }) => [
    step("special pages", (host, { process, domid }) =>
      setParams(host, process, domid, [
        [HVM_PARAM_STORE_PFN, specialPfn("xenstore")],
        [PARAM.bufioreqPfn, specialPfn("bufioreq")],
        [PARAM.ioreqPfn, specialPfn("ioreq")],
        [HVM_PARAM_CONSOLE_PFN, specialPfn("console")],
        [PARAM.pagingRing, specialPfn("paging")],
        [PARAM.monitorRing, specialPfn("access")],
        [PARAM.sharingRing, specialPfn("sharing")],
        [PARAM.identPt, specialPfn("identPt") * 4096],
      ]),
    ),
    step("event channels", (host, { process, domid, ports }) =>
      setParams(host, process, domid, [
        [HVM_PARAM_CONSOLE_EVTCHN, ports.consolePort],
        [HVM_PARAM_STORE_EVTCHN, ports.storePort],
      ]),
    ),
    step("sethvmcontext", (host, { process, domid }) => {
      const data = bootContext(host, process, domid);
      const set = isFailure(data) ? data : sethvmcontext(host, dom0(process), { domid, data });
      return isFailure(set) ? set : undefined;
    }),
  ],
);

/** What a translated domain has before its memory: timers, room for page tables (libxl__arch_domain_create). */
const archCreate = routine(
  "libxl__arch_domain_create",
  (a: { process: string; domid: number; shadowMemkb: number }) => ({ ...a }),
  ({ step }) => [
    step("timer mode, altp2m", (host, { process, domid }) =>
      setParams(host, process, domid, [
        [PARAM.timerMode, 1],
        [PARAM.altp2m, 0],
      ]),
    ),
    step("set_paging_mempool_size", (host, { process, domid, shadowMemkb }) => {
      const set = setPagingMempool(host, dom0(process), { domid, bytes: shadowMemkb * 1024 });
      if (!isFailure(set)) return undefined;
      return reported(
        host,
        process,
        "libxl_dom.c:1470:libxl__domain_set_paging_mempool_size",
        `Failed to set paging mempool size to ${shadowMemkb}kB`,
        set,
        domid,
      );
    }),
  ],
);

/** Opens the kernel or its ramdisk (libxl__domain_firmware): what libxc returns where it is not there is the result. */
function firmware(host: Host, process: string, line: number, file: string, part: string): void | Failure {
  const opened = openDomFile(host, process, file, `libxl_dom.c:${line}:libxl__domain_firmware`, part);
  if (!isFailure(opened)) return;
  libxlError(host, process, "libxl_dom.c:1075:libxl__build_hvm", "initializing domain firmware failed");
  return fail(ERROR_NONSPECIFIC);
}

/** Builds an HVM or PVH guest; its rings are at guest frames. */
export const buildHvm = routine(
  "libxl__build_hvm",
  (a: { process: string; domid: number; build: BuildConfig; ports: Ports }) => ({
    ...a,
    errno: "EIO" as Errno,
    image: BUILTIN_IMAGE,
    special: null as Populated | null,
    rings: { ...a.ports, storeMfn: specialPfn("xenstore"), consoleMfn: specialPfn("console") } as Rings,
  }),
  (words) => {
    const { step, call, attempt } = words;
    const complain = complaining(words);
    return [
      call("libxl__arch_domain_create", archCreate, ({ process, domid, build }) => ({
        process,
        domid,
        shadowMemkb: build.shadowMemkb,
      })),
      step("xc_dom_kernel_file", (host, l) => {
        const kernel = l.build.kernel;
        return isFile(kernel) ? firmware(host, l.process, 909, kernel, "xc_dom_kernel_file") : undefined;
      }),
      step("xc_dom_module_file", (host, l) => {
        const ramdisk = l.build.ramdisk ?? "";
        return ramdisk === "" ? undefined : firmware(host, l.process, 926, ramdisk, "xc_dom_ramdisk_file");
      }),
      step("xc_dom_parse_image", (host, l) => {
        const image = parseImage(host, l.process, l.build.kernel);
        if (isFailure(image)) return image;
        l.image = image;
        return;
      }),
      attempt([
        call("xc_dom_boot_mem_init", populateClaimed, ({ process, domid, build }) => ({
          process,
          domid,
          claim: build.claim,
          stretches: stretches(build.type as "hvm" | "pvh", pagesOf(build)),
          onDemand: pagesOnDemand(build),
        })),
        call(
          "alloc_magic_pages",
          populate,
          ({ process, domid }) => ({
            process,
            domid,
            stretch: { start: SPECIAL_FIRST, pages: SPECIAL_PAGES },
          }),
          (l, special) => void (l.special = special),
        ),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [step("no memory", (host, l) => noMemory(host, l.process, l.errno))],
      ),
      step("set_memory_map", (host, l) => {
        const entries = memoryMapEntries(l.build.type as "hvm" | "pvh", pagesOf(l.build));
        const set = setMemoryMap(host, dom0(l.process), { domid: l.domid, entries });
        return isFailure(set)
          ? buildDomFailed(host, l.process, 590, "libxl__arch_domain_finalise_hw_description", set.errno)
          : undefined;
      }),
      complain(bootImageFailed, [
        call("xc_dom_boot_image", bootImage, ({ process, domid, ports }) => ({ process, domid, ports })),
      ]),
      step("xc_dom_gnttab_init", (host, l) => {
        const seeded = seedGrantTable(host, l.process, l.domid, l.rings.consoleMfn, l.rings.storeMfn);
        return isFailure(seeded)
          ? buildDomFailed(host, l.process, 602, "xc_dom_gnttab_init", seeded.errno)
          : undefined;
      }),
      step("the kernel is in place", (host, l) => {
        const special = present(l.special);
        startGuest(host, {
          domid: l.domid,
          type: "pvh",
          commandLine: l.build.cmdline ?? "",
          nrVcpus: l.build.maxVcpus,
          storeMfn: mfnOf(special, l.rings.storeMfn),
          storePort: l.ports.storePort,
          consoleMfn: mfnOf(special, l.rings.consoleMfn),
          consolePort: l.ports.consolePort,
        });
      }),
    ];
  },
  (l) => l.rings,
);
