// SPDX-License-Identifier: Apache-2.0
//
// A domain that a toolstack outside has built: what it left for the kernel lies
// in the domain's memory and in its first vCPU's registers, as it does for a
// kernel that really runs.

import * as X from "../../abi/4.17/constants.ts";
import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { getBig, viewOf } from "../../abi/struct.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { input } from "../engine/input.ts";
import { domainById } from "../hypervisor/domain.ts";
import type { Domain } from "../hypervisor/domain.ts";
import { loadedRecord } from "../hypervisor/hvm-context.ts";
import {
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  hvmParam,
} from "../hypervisor/hvm-params.ts";
import { gfnToMfn } from "../hypervisor/p2m.ts";
import { pageOf } from "../hypervisor/page.ts";
import { vcpuContextCell, vcpuId } from "../hypervisor/vcpu.ts";
import { startGuest } from "./boot.ts";
import { guestCell } from "./guest.ts";
import type { StartInfo } from "./guest.ts";

const PAGE = 4096n;
/** Longest command line a kernel takes (MAX_GUEST_CMDLINE). */
const COMMAND_LINE_MAX = 1024;
/** Bits of a page table entry: present, a large page; and the frame. */
const PTE_PRESENT = 1n;
const PTE_LARGE = 1n << 7n;
const PTE_FRAME = 0xfffffffffn;

/** Reads what lies at an address, page by page; null where a page is not there. */
type Translate = (address: bigint) => number | null;

function readAt(host: Host, translate: Translate, address: bigint, length: number): Uint8Array | null {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const at = address + BigInt(done);
    const mfn = translate(at / PAGE);
    if (mfn === null) return null;
    const offset = Number(at % PAGE);
    const part = Math.min(length - done, Number(PAGE) - offset);
    bytes.set(host.memory.read(mfn, offset, part), done);
    done += part;
  }
  return bytes;
}

/** Characters up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

/** A frame of the domain's own, by its guest frame number; null where there is none. */
function ownFrame(host: Host, d: DeepReadonly<Domain>, gfn: number): number | null {
  const mfn = gfnToMfn(host, d, gfn);
  return mfn >= 0 && pageOf(host, mfn)?.owner === d.domid ? mfn : null;
}

/** PVH: rbx points at hvm_start_info, the rings and ports are HVM parameters. */
function pvhStartInfo(host: Host, d: DeepReadonly<Domain>): StartInfo | null {
  const { domid } = d;
  const registers = loadedRecord(host, domid, hvmSave.CPU.typecode, 0);
  if (registers === null) return null;
  const physical: Translate = (gfn) => ownFrame(host, d, Number(gfn));
  const start = getBig(viewOf(registers), abi.hvm_hw_cpu.rbx);
  const bytes = readAt(host, physical, start, abi.hvm_start_info.sizeof);
  if (bytes === null || abi.hvm_start_info.magic.get(viewOf(bytes)) !== X.XEN_HVM_START_MAGIC_VALUE)
    return null;
  const line = getBig(viewOf(bytes), abi.hvm_start_info.cmdline_paddr);
  const commandLine = line === 0n ? null : readAt(host, physical, line, COMMAND_LINE_MAX);
  const param = (index: number): number => Number(hvmParam(host, domid, index));
  const storeMfn = ownFrame(host, d, param(HVM_PARAM_STORE_PFN));
  const consoleMfn = ownFrame(host, d, param(HVM_PARAM_CONSOLE_PFN));
  if (storeMfn === null || consoleMfn === null) return null;
  return {
    domid,
    type: "pvh",
    commandLine: commandLine === null ? "" : text(commandLine),
    nrVcpus: d.nrVcpus,
    storeMfn,
    storePort: param(HVM_PARAM_STORE_EVTCHN),
    consoleMfn,
    consolePort: param(HVM_PARAM_CONSOLE_EVTCHN),
  };
}

/** A 64-bit PV kernel's view of memory: its page tables, from cr3. */
function walker(host: Host, d: DeepReadonly<Domain>, cr3: bigint): Translate {
  return (page) => {
    let table = ownFrame(host, d, Number(cr3 >> 12n));
    for (const shift of [27n, 18n, 9n, 0n]) {
      if (table === null) return null;
      const index = Number((page >> shift) & 511n);
      const entry = viewOf(host.memory.read(table, index * 8, 8)).getBigUint64(0, true);
      if ((entry & PTE_PRESENT) === 0n || (shift > 0n && (entry & PTE_LARGE) !== 0n)) return null;
      table = ownFrame(host, d, Number((entry >> 12n) & PTE_FRAME));
    }
    return table;
  };
}

/** PV: rsi points at start_info, through the page tables the builder made. */
function pvStartInfo(host: Host, d: DeepReadonly<Domain>): StartInfo | null {
  const context = host.get(vcpuContextCell, vcpuId(d.domid, 0));
  const c = abi.vcpu_guest_context;
  const s = abi.start_info;
  if (context === undefined || context.bytes.length < c.sizeof) return null;
  const registers = viewOf(context.bytes.slice());
  const cr3 = registers.getBigUint64(c.ctrlreg.offset + 3 * 8, true);
  const bytes = readAt(host, walker(host, d, cr3), getBig(registers, c["user_regs.rsi"]), s.sizeof);
  if (bytes === null) return null;
  const view = viewOf(bytes);
  const storeMfn = ownFrame(host, d, s.store_mfn.get(view));
  const consoleMfn = ownFrame(host, d, s["console.domU.mfn"].get(view));
  if (storeMfn === null || consoleMfn === null) return null;
  return {
    domid: d.domid,
    type: "pv",
    commandLine: text(s.cmd_line.get(view)),
    nrVcpus: d.nrVcpus,
    storeMfn,
    storePort: s.store_evtchn.get(view),
    consoleMfn,
    consolePort: s["console.domU.evtchn"].get(view),
  };
}

/** What the builder left for a domain's kernel; null where it left nothing a kernel could start with. */
export function startInfoOf(host: Host, domid: number): StartInfo | null {
  const d = domainById(host, domid);
  if (d === undefined || d.type === "hvm") return null;
  return d.type === "pv" ? pvStartInfo(host, d) : pvhStartInfo(host, d);
}

/**
 * A domain built from outside may run: from here on it is our guest, whatever
 * file its kernel came from. Nothing happens to one that has a guest already,
 * or whose builder left nothing to start with: its vCPUs stay as they are.
 */
export const builtDomainRuns = input("guest.runs", (host, { domid }: { domid: number }) => {
  const d = domainById(host, domid);
  if (d === undefined || d.isDying !== "alive" || host.get(guestCell, domid) !== undefined) return;
  const info = startInfoOf(host, domid);
  if (info !== null) startGuest(host, info);
});
