// SPDX-License-Identifier: Apache-2.0
//
// What a guest's kernel keeps beside its xenbus: what it was started with, its
// console, its memory balloon, its vCPUs.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { GuestOptions } from "./options.ts";

/** What the builder hands a kernel: `start_info` for PV, HVM parameters for PVH. */
export interface StartInfo {
  domid: number;
  type: "pv" | "pvh";
  commandLine: string;
  nrVcpus: number;
  /** Machine frame of the xenstore ring and the guest's port for it. */
  storeMfn: number;
  storePort: number;
  consoleMfn: number;
  consolePort: number;
}

/** A running guest, by domid. */
export interface Guest {
  type: "pv" | "pvh";
  options: GuestOptions;
  commandLine: string;
  nrVcpus: number;
  storeMfn: number;
  storePort: number;
  consoleMfn: number;
  consolePort: number;
  /** Microseconds of the host's clock at which the guest's own clock stood at 0. */
  bootedAt: number;
  /** How many lines `tick` has printed. */
  ticks: number;
  /**
   * "suspend" while the guest suspends or resumes, "poweroff" from a request to reboot on: control requests are
   * left where they are (`shutting_down`).
   */
  shuttingDown: "invalid" | "suspend" | "poweroff";
  /** User space burns its vCPU: it never blocks. */
  spinning: boolean;
  /** The guest's own clock, in µs, when user space was up; null before. */
  upAt: number | null;
}

export const guestCell = cellType<Guest>("guest", { provenance: ["bootedAt"] });

/** How long a guest takes on this machine, in µs. */
export interface BootTimes {
  /** From the first instruction to the first xenstore request. */
  kernelUs: number;
  /** From its buses to its last initcalls. */
  lateInitUs: number;
}

/** By 0, where somebody says so. */
export const bootTimesCell = cellType<BootTimes>("guest-boot-times");

/** Times of a machine that is neither slow nor emulated. */
export const defaultBootTimes: BootTimes = { kernelUs: 300_000, lateInitUs: 200_000 };

/** The guest, which must exist. */
export function guestOf(cells: Cells, domid: number): DeepReadonly<Guest> {
  return must(cells, guestCell, domid);
}

/** The guest's own clock in seconds, as its kernel prints it: `[    9.988484]`. */
export function guestSeconds(now: number, guest: DeepReadonly<Guest>): number {
  return (now - guest.bootedAt) / 1_000_000;
}
