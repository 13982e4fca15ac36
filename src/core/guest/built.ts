// SPDX-License-Identifier: Apache-2.0
//
// A domain that a toolstack outside has built: what it left for the kernel lies
// in the domain's memory and in its first vCPU's registers, as it does for a
// kernel that really runs.

import {
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
} from "../../abi/4.17/constants.ts";
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
import { hvmParam } from "../hypervisor/hvm-params.ts";
import { tripleFault } from "../hypervisor/shutdown.ts";
import { vcpuContextCell, vcpuId } from "../hypervisor/vcpu.ts";
import { startGuest } from "./boot.ts";
import { guestCell } from "./guest.ts";
import type { StartInfo } from "./guest.ts";
import { keptInMemory, kernelMemoryCell, publishFrames } from "./kernel-memory.ts";
import { ownFrame, ownMachineFrame, pvWalker, readAt, readPhysical } from "./kernel-pages.ts";
import { restoreGuest } from "./restore.ts";

/** Longest command line a kernel takes (MAX_GUEST_CMDLINE). */
const COMMAND_LINE_MAX = 1024;

/** Characters up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

/** PVH: rbx points at hvm_start_info, which names the command line. */
function pvhStartInfo(host: Host, d: DeepReadonly<Domain>): StartInfo | null {
  const { domid } = d;
  const registers = loadedRecord(host, domid, hvmSave.CPU.typecode, 0);
  if (registers === null) return null;
  const start = getBig(viewOf(registers), abi.hvm_hw_cpu.rbx);
  const bytes = readPhysical(host, d, start, abi.hvm_start_info.sizeof);
  if (bytes === null || abi.hvm_start_info.magic.get(viewOf(bytes)) !== X.XEN_HVM_START_MAGIC_VALUE)
    return null;
  const line = getBig(viewOf(bytes), abi.hvm_start_info.cmdline_paddr);
  const commandLine = line === 0n ? null : readPhysical(host, d, line, COMMAND_LINE_MAX);
  return translatedStartInfo(host, d, commandLine === null ? "" : text(commandLine));
}

/** PVH and HVM: the rings and ports are HVM parameters. */
function translatedStartInfo(host: Host, d: DeepReadonly<Domain>, commandLine: string): StartInfo | null {
  const { domid } = d;
  const param = (index: number): number => Number(hvmParam(host, domid, index));
  const storeMfn = ownFrame(host, d, param(HVM_PARAM_STORE_PFN));
  const consoleMfn = ownFrame(host, d, param(HVM_PARAM_CONSOLE_PFN));
  if (storeMfn === null || consoleMfn === null) return null;
  return {
    domid,
    type: "pvh",
    commandLine,
    nrVcpus: d.nrVcpus,
    storeMfn,
    storePort: param(HVM_PARAM_STORE_EVTCHN),
    consoleMfn,
    consolePort: param(HVM_PARAM_CONSOLE_EVTCHN),
  };
}

const PAGE = 4096n;

/** PV: rsi points at start_info, through the page tables the builder made. */
function pvStartInfo(host: Host, d: DeepReadonly<Domain>): (StartInfo & { startInfoMfn: number }) | null {
  const context = host.get(vcpuContextCell, vcpuId(d.domid, 0));
  const c = abi.vcpu_guest_context;
  const s = abi.start_info;
  if (context === undefined || context.bytes.length < c.sizeof) return null;
  const registers = viewOf(context.bytes.slice());
  const walk = pvWalker(host, d, registers.getBigUint64(c.ctrlreg.offset + 3 * 8, true));
  const address = getBig(registers, c["user_regs.rsi"]);
  const bytes = readAt(host, walk, address, s.sizeof);
  const startInfoMfn = walk(address / PAGE);
  if (bytes === null || startInfoMfn === null) return null;
  const view = viewOf(bytes);
  const storeMfn = ownMachineFrame(host, d, s.store_mfn.get(view));
  const consoleMfn = ownMachineFrame(host, d, s["console.domU.mfn"].get(view));
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
    startInfoMfn,
  };
}

/**
 * What a translated domain's kernel is started with. An HVM domain's firmware
 * would find its kernel on a disk, with a command line of its own: here that is
 * the kernel of a Linux that knows Xen, and no command line.
 */
function startInfoOf(host: Host, d: DeepReadonly<Domain>): StartInfo | null {
  if (d.type === "pv") return null;
  return d.type === "pvh" ? pvhStartInfo(host, d) : translatedStartInfo(host, d, "");
}

/**
 * A domain built from outside may run: from here on it is our guest, whatever
 * file its kernel came from; one that was suspended in its memory goes on.
 * It crashes where what it left there is not what it was.
 * Nothing happens to one that has a guest already, or whose builder left nothing
 * to start with: its vCPUs stay as they are.
 */
export const builtDomainRuns = input("guest.runs", (host, { domid }: { domid: number }) => {
  const d = domainById(host, domid);
  if (d === undefined || d.isDying !== "alive") return;
  if (host.get(guestCell, domid) !== undefined) return;
  const pv = d.type === "pv" ? pvStartInfo(host, d) : null;
  const info = pv ?? startInfoOf(host, d);
  if (info === null) return;
  const kept = keptInMemory(host, d);
  if (kept === null) startGuest(host, info);
  else if (restoreGuest(host, info, kept.image) !== undefined) return tripleFault(host, domid);
  host.add(kernelMemoryCell, domid, { startInfoMfn: pv?.startInfoMfn ?? -1, kept: [] });
  publishFrames(host, d);
});
