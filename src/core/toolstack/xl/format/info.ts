// SPDX-License-Identifier: Apache-2.0
//
// xl info (tools/xl/xl_info.c).

import { hex, right } from "./printf.ts";

/** uname(2) of dom0. */
export interface NodeInfo {
  host: string;
  release: string;
  version: string;
  machine: string;
}

/** libxl_physinfo, and how many CPUs are in no pool. */
export interface PhysInfo {
  nrCpus: number;
  maxCpuId: number;
  nrNodes: number;
  coresPerSocket: number;
  threadsPerCore: number;
  cpuKhz: number;
  /** Eight words. */
  hwCaps: readonly number[];
  /** In xl's order, by xl's names ("pv", "hvm", "hap", "gnttab-v1", …). */
  virtCaps: readonly string[];
  totalPages: number;
  freePages: number;
  outstandingPages: number;
  sharingFreedPages: number;
  sharingUsedFrames: number;
  freeCpus: number;
}

/** libxl_version_info and the scheduler. */
export interface XenInfo {
  major: number;
  minor: number;
  extra: string;
  capabilities: string;
  scheduler: string;
  pagesize: number;
  /** As hexadecimal digits: too big for a number. */
  virtStart: string;
  changeset: string;
  commandline: string;
  compiler: string;
  compileBy: string;
  compileDomain: string;
  compileDate: string;
  buildId: string;
}

/** CPU topology, PCI devices with a node, and memory by node: xl info -n. */
export interface NumaInfo {
  cpus: readonly { cpu: number; core: number; socket: number; node: number }[];
  /** "0000:00:1f.2" and its node. */
  devices: readonly { address: string; node: number }[];
  nodes: readonly { node: number; sizeMb: number; freeMb: number; distances: readonly number[] }[];
}

export interface HostInfo {
  node: NodeInfo;
  phys: PhysInfo;
  xen: XenInfo;
}

/** All of xl info; with `numa` the tables of -n, with `only` just the values of lines whose name begins so. */
export function formatInfo(info: HostInfo, numa: NumaInfo | null = null, only: string | null = null): string {
  const { node, phys, xen } = info;
  const before = [...nodeLines(node), ...physLines(phys, xen)];
  const after = [...xenLines(xen), ["xend_config_format", " 4"]] as [string, string][];
  const lines = (part: readonly (readonly [string, string])[]): string =>
    part.map(([name, value]) => formatLine(name, value, only)).join("");
  return lines(before) + (numa === null ? "" : formatNuma(numa)) + lines(after);
}

function formatLine(name: string, value: string, only: string | null): string {
  const label = name.padEnd(23);
  if (only === null) return `${label}:${value}\n`;
  return `${label}:${value}\n`.startsWith(only) && value.startsWith(" ") ? `${value.slice(1)}\n` : "";
}

const nodeLines = (node: NodeInfo): [string, string][] => [
  ["host", ` ${node.host}`],
  ["release", ` ${node.release}`],
  ["version", ` ${node.version}`],
  ["machine", ` ${node.machine}`],
];

function physLines(phys: PhysInfo, xen: XenInfo): [string, string][] {
  const mebibytes = (pages: number): string => ` ${Math.floor(pages / (2 ** 20 / xen.pagesize))}`;
  const khz = String(phys.cpuKhz % 1000).padStart(3, "0");
  return [
    ["nr_cpus", ` ${phys.nrCpus}`],
    ["max_cpu_id", ` ${phys.maxCpuId}`],
    ["nr_nodes", ` ${phys.nrNodes}`],
    ["cores_per_socket", ` ${phys.coresPerSocket}`],
    ["threads_per_core", ` ${phys.threadsPerCore}`],
    ["cpu_mhz", ` ${Math.floor(phys.cpuKhz / 1000)}.${khz}`],
    ["hw_caps", ` ${phys.hwCaps.map((word) => hex(word, 8)).join(":")}`],
    ["virt_caps", phys.virtCaps.map((name) => ` ${name}`).join("")],
    ["total_memory", mebibytes(phys.totalPages)],
    ["free_memory", mebibytes(phys.freePages - phys.outstandingPages)],
    ["sharing_freed_memory", mebibytes(phys.sharingFreedPages)],
    ["sharing_used_memory", mebibytes(phys.sharingUsedFrames)],
    ["outstanding_claims", mebibytes(phys.outstandingPages)],
    ["free_cpus", ` ${phys.freeCpus}`],
  ];
}

const xenLines = (xen: XenInfo): [string, string][] => [
  ["xen_major", ` ${xen.major}`],
  ["xen_minor", ` ${xen.minor}`],
  ["xen_extra", ` ${xen.extra}`],
  ["xen_version", ` ${xen.major}.${xen.minor}${xen.extra}`],
  ["xen_caps", ` ${xen.capabilities}`],
  ["xen_scheduler", ` ${xen.scheduler}`],
  ["xen_pagesize", ` ${xen.pagesize}`],
  ["platform_params", ` virt_start=0x${xen.virtStart}`],
  ["xen_changeset", ` ${xen.changeset}`],
  ["xen_commandline", ` ${xen.commandline}`],
  ["cc_compiler", ` ${xen.compiler}`],
  ["cc_compile_by", ` ${xen.compileBy}`],
  ["cc_compile_domain", ` ${xen.compileDomain}`],
  ["cc_compile_date", ` ${xen.compileDate}`],
  ["build_id", ` ${xen.buildId}`],
];

function formatNuma({ cpus, devices, nodes }: NumaInfo): string {
  let text = "cpu_topology           :\ncpu:    core    socket     node\n";
  for (const { cpu, core, socket, node } of cpus) {
    text += `${right(cpu, 3)}:    ${right(core, 4)}     ${right(socket, 4)}     ${right(node, 4)}\n`;
  }
  text += "device topology        :\ndevice           node\n";
  for (const { address, node } of devices) text += `${address}      ${node}\n`;
  if (devices.length === 0) text += "No device topology data available\n";
  text += "numa_info              :\nnode:    memsize    memfree    distances\n";
  for (const { node, sizeMb, freeMb, distances } of nodes) {
    text += `${right(node, 4)}:    ${right(sizeMb, 6)}     ${right(freeMb, 6)}      ${distances.join(",")}\n`;
  }
  return text;
}
