// SPDX-License-Identifier: Apache-2.0
//
// What a kernel leaves in its domain's memory when it suspends. A domain that
// was built from outside is read from outside, too: whatever its kernel must
// know when it goes on elsewhere lies in its memory, and the first vCPU's
// registers say where. A PV kernel also says which machine frames its memory is
// (xen/include/public/arch-x86/xen.h, struct arch_shared_info; Linux
// arch/x86/xen/p2m.c, drivers/xen/manage.c).

import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { bytesOf, getBig, setBig, viewOf, zeroed } from "../../abi/struct.ts";
import { cellType } from "../engine/cells.ts";
import type { DeepReadonly, Plain } from "../engine/cells.ts";
import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { asciiText, parseAscii } from "../engine/plain.ts";
import { bytesText, textBytes } from "../daemons/files.ts";
import { allocPage, freePage } from "../drivers/pages.ts";
import { domainById, domainPagesCell } from "../hypervisor/domain.ts";
import type { Domain } from "../hypervisor/domain.ts";
import { loadedRecord, storeRecord } from "../hypervisor/hvm-context.ts";
import { mfnToGfn } from "../hypervisor/memory-op.ts";
import { pageOf } from "../hypervisor/page.ts";
import { vcpuContextCell, vcpuId } from "../hypervisor/vcpu.ts";
import { ownFrame, pvWalker, readPhysical, writePvFrames } from "./kernel-pages.ts";
import { saveGuest } from "./save.ts";

/**
 * A kernel that lies in its domain's memory, by domid: the frame a PV one has its
 * start info in, the frames it keeps its data in while it is suspended.
 */
export const kernelMemoryCell = cellType<{ startInfoMfn: number; kept: number[] }>("kernel-memory");

/** Pages of a kernel's data: a mark, where the next page is, how much follows. */
const MARK = 0x4154414458454e58n;
const HEADER_BYTES = 24;
const PAGE_BYTES = 4096;
const TEXT_BYTES = PAGE_BYTES - HEADER_BYTES;
/** What a kernel with many devices leaves is far shorter. */
const TEXT_PAGES_MAX = 1024;

const INFO = abi.start_info;
const REGISTERS = abi.vcpu_guest_context;

/** Writes a text into as many pages as it needs; the first one's guest frame, 0 where there are too few. */
function keepText(host: Host, domid: number, text: string): number {
  const cell = host.edit(kernelMemoryCell, domid);
  let next = 0;
  for (let at = Math.floor(text.length / TEXT_BYTES) * TEXT_BYTES; at >= 0; at -= TEXT_BYTES) {
    const taken = allocPage(host, domid);
    if (isFailure(taken)) {
      forgetText(host, domid);
      return 0;
    }
    const { mfn } = taken;
    cell.kept.push(mfn);
    const part = textBytes(text.slice(at, at + TEXT_BYTES));
    const page = new DataView(new ArrayBuffer(HEADER_BYTES + part.length));
    page.setBigUint64(0, MARK, true);
    page.setBigUint64(8, BigInt(next), true);
    page.setUint32(16, part.length, true);
    bytesOf(page).set(part, HEADER_BYTES);
    host.memory.write(mfn, 0, bytesOf(page));
    next = mfnToGfn(host, mfn);
  }
  return next;
}

/** The pages of a text are the kernel's to use again. */
function forgetText(host: Host, domid: number): void {
  const cell = host.edit(kernelMemoryCell, domid);
  for (const mfn of cell.kept) freePage(host, domid, mfn);
  cell.kept = [];
}

/**
 * The text that begins in a guest frame; null where there is none, and as much of it as
 * there is where somebody has written over the rest.
 */
function keptText(host: Host, d: DeepReadonly<Domain>, first: bigint): string | null {
  let text = "";
  let pfn = first;
  for (let pages = 0; pfn > 0n && pages < TEXT_PAGES_MAX; pages++) {
    const bytes = readPhysical(host, d, pfn * BigInt(PAGE_BYTES), PAGE_BYTES);
    const view = bytes === null ? null : viewOf(bytes);
    if (bytes === null || view?.getBigUint64(0, true) !== MARK) break;
    text += bytesText(bytes.subarray(HEADER_BYTES, HEADER_BYTES + view.getUint32(16, true)));
    pfn = view.getBigUint64(8, true);
  }
  return text === "" ? null : text;
}

/** Changes the first vCPU's registers as the kernel's last instructions would. */
function setStack(host: Host, d: DeepReadonly<Domain>, stack: bigint, startInfoMfn: number): void {
  if (d.type === "pv") {
    const context = host.edit(vcpuContextCell, vcpuId(d.domid, 0));
    const view = viewOf(context.bytes);
    setBig(view, REGISTERS["user_regs.rsp"], stack);
    // The hypercall's argument: what the new domain's builder looks for (HYPERVISOR_suspend).
    setBig(view, REGISTERS["user_regs.rdx"], BigInt(startInfoMfn));
    return;
  }
  const { typecode, length } = hvmSave.CPU;
  const bytes = loadedRecord(host, d.domid, typecode, 0) ?? bytesOf(zeroed({ sizeof: length }));
  setBig(viewOf(bytes), abi.hvm_hw_cpu.rsp, stack);
  storeRecord(host, d.domid, { typecode, instance: 0, bytes });
}

function stackOf(host: Host, d: DeepReadonly<Domain>): bigint {
  if (d.type === "pv") {
    const context = host.get(vcpuContextCell, vcpuId(d.domid, 0));
    return context === undefined || context.bytes.length < REGISTERS.sizeof
      ? 0n
      : getBig(viewOf(context.bytes.slice()), REGISTERS["user_regs.rsp"]);
  }
  const bytes = loadedRecord(host, d.domid, hvmSave.CPU.typecode, 0);
  return bytes === null ? 0n : getBig(viewOf(bytes), abi.hvm_hw_cpu.rsp);
}

/** Whether a frame is the domain's still: whoever takes its memory away takes no heed of its kernel. */
function isOwn(host: Host, { domid }: DeepReadonly<Domain>, mfn: number): boolean {
  return pageOf(host, mfn)?.owner === domid;
}

/** Rewrites a PV kernel's start info: its rings as guest frames while it is suspended, as machine frames else. */
function translateRings(
  host: Host,
  d: DeepReadonly<Domain>,
  mfn: number,
  translate: (frame: number) => number,
): void {
  if (!isOwn(host, d, mfn)) return;
  const view = viewOf(host.memory.read(mfn, 0, INFO.sizeof));
  INFO.store_mfn.set(view, translate(INFO.store_mfn.get(view)));
  INFO["console.domU.mfn"].set(view, translate(INFO["console.domU.mfn"].get(view)));
  host.memory.write(mfn, 0, bytesOf(view));
}

/**
 * Tells in shared_info where a PV kernel has its list of machine frames
 * (xen_setup_mfn_list_list), and brings the list up to date.
 */
export function publishFrames(host: Host, d: DeepReadonly<Domain>): void {
  const cell = host.get(kernelMemoryCell, d.domid);
  const context = host.get(vcpuContextCell, vcpuId(d.domid, 0));
  if (d.type !== "pv" || cell === undefined || (context?.bytes.length ?? 0) < REGISTERS.sizeof) return;
  if (context === undefined || !isOwn(host, d, cell.startInfoMfn)) return;
  const info = viewOf(host.memory.read(cell.startInfoMfn, 0, INFO.sizeof));
  const cr3 = viewOf(context.bytes.slice()).getBigUint64(REGISTERS.ctrlreg.offset + 3 * 8, true);
  const list = getBig(info, INFO.mfn_list);
  // Anybody who maps the page may have written to it since.
  const frames = Math.min(INFO.nr_pages.get(info), must(host, domainPagesCell, d.domid).maxPages);
  writePvFrames(host, d, pvWalker(host, d, cr3), list, frames);
  const { sharedInfo } = must(host, domainPagesCell, d.domid);
  const arch = abi.shared_info.arch;
  const view = viewOf(host.memory.read(sharedInfo, 0, abi.shared_info.sizeof));
  abi.shared_info["arch.max_pfn"].set(view, frames);
  setBig(view, abi.shared_info["arch.p2m_cr3"], cr3);
  setBig(view, abi.shared_info["arch.p2m_vaddr"], list);
  host.memory.write(sharedInfo, arch.offset, bytesOf(view).slice(arch.offset, arch.offset + arch.size));
}

/** Puts what the kernel must know later into its memory, before it suspends. */
export function keepInMemory(host: Host, domid: number): void {
  const d = domainById(host, domid);
  const cell = host.get(kernelMemoryCell, domid);
  if (d === undefined || cell === undefined) return;
  const { startInfoMfn } = cell;
  const first = keepText(host, domid, asciiText(saveGuest(host, domid)));
  setStack(host, d, BigInt(first * PAGE_BYTES), startInfoMfn);
  if (d.type !== "pv") return;
  publishFrames(host, d);
  translateRings(host, d, startInfoMfn, (mfn) => mfnToGfn(host, mfn));
}

/** The kernel goes on: where that is the domain it suspended in, the pages are its own again. */
export function goesOnInMemory(host: Host, domid: number): void {
  const d = domainById(host, domid);
  const cell = host.get(kernelMemoryCell, domid);
  if (d === undefined || cell === undefined || cell.kept.length === 0) return;
  forgetText(host, domid);
  setStack(host, d, 0n, 0);
  if (d.type === "pv") translateRings(host, d, cell.startInfoMfn, (pfn) => ownFrame(host, d, pfn) ?? 0);
}

/**
 * What a suspended kernel has left in a domain's memory, `null` in place of what is
 * no text of a kernel's; null in a domain that holds none.
 */
export function keptInMemory(host: Host, d: DeepReadonly<Domain>): { image: Plain } | null {
  const text = keptText(host, d, stackOf(host, d) / BigInt(PAGE_BYTES));
  return text === null ? null : { image: parseAscii(text) };
}
