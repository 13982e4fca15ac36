// SPDX-License-Identifier: Apache-2.0
//
// Tables of domains: xl list, list -l, vm-list, claims, sharing
// (tools/xl/xl_info.c, xl_mem.c).

import { domainConfig, type DomainConfig } from "../../xlcfg/domain-config.ts";
import { printJson } from "../../xlcfg/json.ts";
import { formatBitmap, hex, left, right, secondsOf } from "./printf.ts";

/** One domain as xl list shows it (libxl_dominfo and its names). */
export interface DomainRow {
  /** null: /local/domain/DOMID/name is missing. */
  name: string | null;
  domid: number;
  /** 36 characters. */
  uuid: string;
  currentMemkb: number;
  /** Claimed and not yet there. */
  outstandingMemkb: number;
  sharedMemkb: number;
  vcpuOnline: number;
  running: boolean;
  blocked: boolean;
  paused: boolean;
  shutdown: boolean;
  dying: boolean;
  /** SHUTDOWN_* of Xen's sched.h; looked at only when `shutdown`. */
  shutdownReason: number;
  cpuTimeNs: number;
  securityLabel: string | null;
}

/** What only some options of xl list need, by domid. */
export interface ListExtras {
  verbose?: boolean;
  context?: boolean;
  claim?: boolean;
  /** The pool's name of each domain: shows the column. */
  cpupoolOf?: (domid: number) => string | null;
  /** The nodes each domain prefers, and how many the host has: shows the column. */
  nodesOf?: (domid: number) => readonly number[];
  nodeCount?: number;
}

/** The letter of a shutdown reason, by SHUTDOWN_* code. */
const shutdownReasonLetters = "-rscwS";

/** The six state characters: r b p s, the reason of the shutdown, d. */
export function stateLetters(row: DomainRow): string {
  const reason = row.shutdown ? row.shutdownReason : 0;
  return [
    row.running ? "r" : "-",
    row.blocked ? "b" : "-",
    row.paused ? "p" : "-",
    row.shutdown ? "s" : "-",
    shutdownReasonLetters[reason] ?? "?",
    row.dying ? "d" : "-",
  ].join("");
}

const mebibytes = (kibibytes: number): number => Math.floor(kibibytes / 1024);

/** xl list, with -v, -Z, -c, -n; and xl claims. */
export function formatDomainList(rows: readonly DomainRow[], extras: ListExtras = {}): string {
  const { verbose = false, context = false, claim = false, cpupoolOf, nodesOf, nodeCount = 0 } = extras;
  let text = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
  if (verbose) text += "   UUID                            Reason-Code\tSecurity Label";
  if (context && !verbose) text += "   Security Label";
  if (claim) text += "  Claimed";
  if (cpupoolOf) text += "         Cpupool";
  if (nodesOf) text += " NODE Affinity";
  text += "\n";
  for (const row of rows) {
    const memory = mebibytes(row.currentMemkb + row.outstandingMemkb);
    text += `${left(row.name, 40)} ${right(row.domid, 5)} ${right(memory, 5)} ${right(row.vcpuOnline, 5)}`;
    text += `     ${stateLetters(row)}  ${right(secondsOf(row.cpuTimeNs), 8)}`;
    if (verbose) text += ` ${row.uuid} ${right(row.shutdown ? hex(row.shutdownReason) : "-", 8)}`;
    if (claim) text += ` ${right(mebibytes(row.outstandingMemkb), 5)}`;
    if (verbose || context) text += ` ${right(row.securityLabel ?? "-", 16)}`;
    if (cpupoolOf) text += right(cpupoolOf(row.domid), 16);
    if (nodesOf) text += ` ${formatBitmap(nodesOf(row.domid), nodeCount)}`;
    text += "\n";
  }
  return text;
}

/** xl list -l: the configurations that could be had, as one JSON array. */
export function formatDomainDetails(domains: readonly { domid: number; config: DomainConfig }[]): string {
  const entries = domains.map(({ domid, config }) => ({ domid, config: domainConfig.toJson(config) }));
  return `${printJson(entries)}\n`;
}

/** xl create --dryrun, and with -d before creating. */
export const formatDomainConfig = (config: DomainConfig): string => printJson(domainConfig.toJson(config));

/** xl vm-list. */
export function formatVmList(rows: readonly { uuid: string; domid: number; name: string | null }[]): string {
  const lines = rows.map(({ uuid, domid, name }) => `${uuid}  ${domid}    ${left(name, 30)}\n`);
  return `UUID                                  ID    name\n${lines.join("")}`;
}

/** xl sharing. */
export function formatSharing(rows: readonly DomainRow[]): string {
  const lines = rows.map((row) => {
    const memory = mebibytes(row.currentMemkb + row.outstandingMemkb);
    const shared = mebibytes(row.sharedMemkb);
    return `${left(row.name, 40)} ${right(row.domid, 5)} ${right(memory, 5)}  ${right(shared, 5)}\n`;
  });
  return `Name                                        ID   Mem Shared\n${lines.join("")}`;
}
