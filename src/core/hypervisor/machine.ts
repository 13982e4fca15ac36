// SPDX-License-Identifier: Apache-2.0
//
// The machine the hypervisor runs on: its size, its processors, the version of
// Xen that was booted on it.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { xenVersion } from "./version.ts";
import type { XenVersion, XenVersionName } from "./version.ts";

/** What a machine is made of. */
export interface MachineConfig {
  version: XenVersionName;
  /** Frames of memory in all; dom0's and Xen's own are among them. */
  totalPages: number;
  /** Frames Xen keeps for itself: never free, never a domain's. */
  xenPages: number;
  dom0Pages: number;
  dom0Vcpus: number;
  nrCpus: number;
  cpuKhz: number;
  /** Pages a restartable operation frees before it looks whether somebody waits (hypercall_preempt_check). */
  preemptPages: number;
  /** How translated domains' tables are kept: as Xen does now, or with the references of 2005 (legacy-shadow.ts). */
  paging: "xen" | "legacy-shadow";
  /** What unique ids are derived from, beside the domid. */
  seed: number;
  /** Xen's command line, for `xl info` and `xl dmesg`. */
  commandLine: string;
}

/** The recordings' machine: 3071 MiB, a dom0 of 1280 MiB on two processors. */
export const defaultMachine: MachineConfig = {
  version: "4.17",
  totalPages: 786299,
  xenPages: 9500,
  dom0Pages: 327680,
  dom0Vcpus: 2,
  nrCpus: 2,
  cpuKhz: 2596097,
  preemptPages: 8192,
  paging: "xen",
  seed: 1,
  commandLine: "dom0_mem=1280M,max:1280M dom0_max_vcpus=2 loglvl=all guest_loglvl=all sched=credit2",
};

/** `halted` is null while the machine runs, else the code dom0 shut down with. */
export const machineCell = cellType<MachineConfig & { halted: number | null }>("machine");

/** The machine the hypervisor was started on. */
export function machineOf(cells: Cells): DeepReadonly<MachineConfig> {
  return must(cells, machineCell, 0);
}

/** As on a PC, memory beyond 2 GiB lies above 4 GiB: the rest is for devices. */
export const LOW_END = 0x7ffdc;
export const HIGH_START = 1 << 20;

/** One more than the highest frame of a machine's memory (max_page). */
export function maxPage({ totalPages }: { readonly totalPages: number }): number {
  return totalPages > LOW_END ? HIGH_START + totalPages - LOW_END : totalPages;
}

/** What the booted version of Xen has. */
export function versionOf(cells: Cells): XenVersion {
  return xenVersion(machineOf(cells).version);
}
