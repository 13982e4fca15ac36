// SPDX-License-Identifier: Apache-2.0
//
// Debug keys: what Xen prints of its own state when an operator asks
// (xen/common/keyhandler.c, event_channel.c, grant_table.c), in its own format,
// so that what reads the one can read the other.

import { must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { findNextBit } from "./bitmap.ts";
import { printk } from "./console-ring.ts";
import {
  domainInfoCell,
  domainPagesCell,
  domainRefsCell,
  domainTotPages,
  forEachDomain,
  hapEnabled,
  hardwareDomid,
} from "./domain.ts";
import type { Domain } from "./domain.ts";
import { ownedFrames } from "./frames.ts";
import { grantTableCell } from "./grant-cells.ts";
import { readEntry } from "./grant-entry.ts";
import { activeGrants } from "./grant-table.ts";
import { machineOf } from "./machine.ts";
import { countInfo, pageOf, pageTypes, typeInfo } from "./page.ts";
import type { PageType } from "./page.ts";
import { inPodCache } from "./pod-cache.ts";
import { podCounts } from "./pod-cell.ts";
import { evtchnPort, evtchnTableCell, portsInUse, portStates } from "./port.ts";
import { runsOf } from "./runs.ts";
import { vcpuRunnable, vcpusOf } from "./vcpu.ts";
import type { Vcpu } from "./vcpu.ts";
import { sendVcpuVirq, VIRQ_DEBUG, virqPort } from "./virq.ts";
import { watchdogsOf } from "./watchdog-timer.ts";

/** Keys that print something, and what `h` says about them. */
const keys: {
  readonly [key: string]: { readonly does: string; readonly dump: (host: Host) => Iterable<string> };
} = {
  e: { does: "dump evtchn info", dump: dumpEvtchnInfo },
  g: { does: "print grant table usage", dump: gnttabUsagePrintAll },
  h: { does: "show this message", dump: showHandlers },
  q: { does: "dump domain (and guest debug) info", dump: dumpDomains },
};

/** Presses a key. One without a meaning does nothing, as on Xen. */
export function handleKeypress(host: Host, key: string): void {
  for (const line of keys[key]?.dump(host) ?? []) printk(host, line);
}

function* showHandlers(): Iterable<string> {
  yield "'h' pressed -> showing installed handlers";
  for (const [key, { does }] of Object.entries(keys))
    yield ` key '${key}' (ascii '${hex(key.charCodeAt(0), 2)}') => ${does}`;
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** Numbers as Xen prints a CPU mask: `0-1`, `0,2`. */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length;) {
    let end = i;
    while (numbers[end + 1] === (numbers[end] as number) + 1) end++;
    parts.push(end === i ? `${numbers[i]}` : `${numbers[i]}-${numbers[end]}`);
    i = end + 1;
  }
  return parts.join(",");
}

/** Key q: every domain's references, pages and vCPUs; then each vCPU gets VIRQ_DEBUG. */
function* dumpDomains(host: Host): Iterable<string> {
  yield `'q' pressed -> dumping domain info (now = ${host.now * 1000})`;
  for (const d of forEachDomain(host)) {
    yield* dumpDomain(host, d);
    yield* dumpPageframeInfo(host, d);
    const { nodeAffinity } = must(host, domainInfoCell, d.domid);
    yield `NODE affinity for domain ${d.domid}: [${nodeAffinity === "all" ? "0" : ranges(nodeAffinity)}]`;
    yield `VCPU information and callbacks for domain ${d.domid}:`;
    for (const [vcpu, v] of vcpusOf(host, d)) yield* dumpVcpu(host, d, vcpu, v);
  }
  for (const d of forEachDomain(host)) {
    for (const [vcpu] of vcpusOf(host, d)) {
      const port = virqPort(host, d.domid, vcpu, VIRQ_DEBUG);
      yield `Notifying guest ${d.domid}:${vcpu} (virq ${VIRQ_DEBUG}, port ${port})`;
      sendVcpuVirq(host, d.domid, vcpu, VIRQ_DEBUG);
    }
  }
  yield "Shared frames 0 -- Saved frames 0";
}

function* dumpDomain(host: Host, d: DeepReadonly<Domain>): Iterable<string> {
  const counts = must(host, domainPagesCell, d.domid);
  const { xenheapPages, maxPages } = counts;
  const { handle, vmAssist } = must(host, domainInfoCell, d.domid);
  const uuid = handle.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  const dying = { alive: 0, dying: 1, dead: 2 }[d.isDying];
  yield `General information for domain ${d.domid}:`;
  yield `    refcnt=${must(host, domainRefsCell, d.domid).refcnt} dying=${dying} pause_count=${d.pauseCount}`;
  const dirty = ranges(dirtyCpus(host, d));
  const had = `nr_pages=${domainTotPages(counts)} xenheap_pages=${xenheapPages}`;
  yield `    ${had} dirty_cpus={${dirty}} max_pages=${maxPages}`;
  yield `    handle=${uuid} vm_assist=${hex(vmAssist, 8)}`;
  for (const { number, expires } of watchdogsOf(host, d.domid)) {
    yield `    watchdog ${number} expires in ${Math.floor((expires - host.now) / 1_073_742)} seconds`;
  }
  if (d.type !== "pv") yield `    paging assistance: ${pagingAssistance(host, d)} `;
  yield `Rangesets belonging to domain ${d.domid}:`;
  const own = d.domid === hardwareDomid;
  yield `    Interrupts { ${own ? "1-26 " : ""}}`;
  yield `    I/O Memory { ${own ? "0-fedff, fef00-fcfffff " : ""}}`;
  yield `    I/O Ports  { ${own ? "0-1f, 22-3f, 44-60, 62-9f, a2-3f7, 400-607, 60c-cfb, d00-ffff " : ""}}`;
  if (d.type === "pv") yield "    log-dirty  { }";
}

/** How a translated domain's page tables are kept (paging_dump_domain_info). */
function pagingAssistance(cells: Cells, { domid }: DeepReadonly<Domain>): string {
  return `${hapEnabled(cells, domid) ? "hap" : "shadow"} refcounts translate external`;
}

/** Processors that hold a domain's state: those its vCPUs run on. */
function dirtyCpus(cells: Cells, d: DeepReadonly<Domain>): number[] {
  const cpus = new Set<number>();
  for (const [, v] of vcpusOf(cells, d)) if (vcpuRunnable(d, v)) cpus.add(v.processor);
  return [...cpus].toSorted((a, b) => a - b);
}

/** A domain's pages: all of one that has few or is dead, at most 16 each of untyped and writable ones. */
function* dumpPageframeInfo(cells: Cells, d: DeepReadonly<Domain>): Iterable<string> {
  const counts = must(cells, domainPagesCell, d.domid);
  yield `Memory pages belonging to domain ${d.domid}:`;
  if (domainTotPages(counts) >= 10 && d.isDying !== "dead") yield "    DomPage list too long to display";
  else yield* dumpDomPages(cells, d.domid);
  if (d.type !== "pv") {
    const { entries, cached } = podCounts(cells, d.domid);
    yield `    PoD entries=${entries} cachesize=${cached}`;
  }
  for (const mfn of counts.xenpages) yield pageLine("XenPage", cells, mfn);
  for (const mfn of counts.extraPages) yield pageLine("ExtraPage", cells, mfn);
}

function* dumpDomPages(cells: Cells, domid: number): Iterable<string> {
  const printed = new Map<PageType, number>();
  for (const { start, count } of runsOf(cells, ownedFrames(domid))) {
    for (let mfn = start; mfn < start + count; mfn++) {
      // What is in the cache is on no list of the domain's.
      if (inPodCache(cells, domid, mfn)) continue;
      const type = pageOf(cells, mfn)?.type ?? pageTypes[0];
      const before = printed.get(type) ?? 0;
      printed.set(type, before + 1);
      if (before >= 16 && (type === "none" || type === "writable")) continue;
      yield pageLine("DomPage", cells, mfn);
    }
  }
}

function pageLine(list: "DomPage" | "XenPage" | "ExtraPage", cells: Cells, mfn: number): string {
  const page = pageOf(cells, mfn);
  if (page === undefined) return `    ${list} ${hex(mfn, 16)}: gone`;
  return `    ${list} ${hex(mfn, 16)}: caf=${hex(countInfo(cells, page), 8)}, taf=${hex(typeInfo(page), 16)}`;
}

function* dumpVcpu(
  cells: Cells,
  d: DeepReadonly<Domain>,
  vcpu: number,
  v: DeepReadonly<Vcpu>,
): Iterable<string> {
  const all = Array.from({ length: machineOf(cells).nrCpus }, (_, cpu) => cpu);
  const cpus = (affinity: "all" | readonly number[]): string => ranges(affinity === "all" ? all : affinity);
  const runs = vcpuRunnable(d, v);
  yield `  UNIT${vcpu} affinities: hard={${cpus(v.hardAffinity)}} soft={${cpus(v.softAffinity)}}`;
  const upcall = `upcall_pend=${v.upcallPending ? "01" : "00"} upcall_mask=${v.upcallMask ? "01" : "00"}`;
  const dirty = runs ? `dirty_cpu=${v.processor}` : "";
  yield `    VCPU${vcpu}: CPU${v.processor} [has=${runs ? "T" : "F"}] poll=0 ${upcall} ${dirty}`;
  yield `    pause_count=${v.pauseCount} pause_flags=${v.pauseFlags.toString(16)}`;
  if (d.type !== "pv") yield `    paging assistance: ${vcpuPaging(cells, d)}`;
  yield "No periodic timer";
}

/** What a vCPU's paging is (paging_dump_vcpu_info), for a guest that has four levels; shadows end with the domain. */
function vcpuPaging(cells: Cells, { domid, isDying }: DeepReadonly<Domain>): string {
  if (hapEnabled(cells, domid)) return "hap, 4 levels";
  return isDying === "dead" ? "not shadowed" : "shadowed 4-on-4";
}

/** Key g: every grant table, and which of its entries are mapped. "remote" is the granter. */
function* gnttabUsagePrintAll(host: Host): Iterable<string> {
  yield "gnttab_usage_print_all [ key 'g' pressed";
  for (const d of forEachDomain(host)) yield* gnttabUsagePrint(host, d.domid);
  yield "gnttab_usage_print_all ] done";
}

function* gnttabUsagePrint(host: Host, domid: number): Iterable<string> {
  const gt = must(host, grantTableCell, domid);
  yield "      -------- active --------       -------- shared --------";
  yield "[ref] localdom mfn      pin          localdom gmfn     flags";
  yield `grant-table for remote d${domid} (v${gt.version})`;
  const maptrackFrames = gt.maptrackVcpus.length;
  const frames = `${gt.frames.length} frames (${gt.maxGrantFrames} max)`;
  yield `  ${frames}, ${maptrackFrames} maptrack frames (${gt.maxMaptrackFrames} max)`;
  let none = true;
  for (const [ref, act] of activeGrants(host, domid)) {
    none = false;
    const entry = readEntry(host, domid, ref) ?? { flags: 0, domid: 0, frame: 0 };
    const active = `${String(act.domid).padStart(5)} 0x${hex(act.mfn, 5)} 0x${hex(act.pin, 8)}`;
    const shared = `${String(entry.domid).padStart(5)} 0x${hex(entry.frame, 6)} 0x${hex(entry.flags, 2)}`;
    yield `[0x${hex(ref, 3)}]  ${active}      ${shared}`;
  }
  if (none) yield "no active grant table entries";
}

/** Key e: every domain's event channels, free ones left out. */
function* dumpEvtchnInfo(host: Host): Iterable<string> {
  yield "'e' pressed -> dumping event-channel info";
  for (const d of forEachDomain(host)) {
    yield `Event channel information for domain ${d.domid}:`;
    yield "Polling vCPUs: {}";
    yield "    port [p/m/s]";
    const ports = portsInUse(d.domid);
    for (let port = findNextBit(host, ports, 1); port > 0; port = findNextBit(host, ports, port + 1)) {
      yield evtchnLine(host, d.domid, port);
    }
  }
}

function evtchnLine(cells: Cells, domid: number, port: number): string {
  const chn = evtchnPort(cells, domid, port);
  if (chn === undefined) return "";
  // A FIFO queue also says which port comes after this one in it: 0 for the last, "-" for one that is not in it.
  const queued = chn.pending && !chn.masked ? "  0   " : "  -   ";
  const link = must(cells, evtchnTableCell, domid).abi === "fifo" ? queued : "";
  const bits = `${Number(chn.pending)}/${Number(chn.masked)}/${link}`;
  const what = {
    unbound: ` d=${chn.remoteDomid}`,
    interdomain: ` d=${chn.remoteDomid} p=${chn.remotePort}`,
    pirq: ` p=${chn.pirq} i=${chn.pirq}`,
    virq: ` v=${chn.virq}`,
  };
  const detail = chn.state in what ? what[chn.state as keyof typeof what] : "";
  const state = `s=${portStates.indexOf(chn.state)} n=${chn.notifyVcpu} x=${chn.xenConsumer}`;
  return `    ${String(port).padStart(4)} [${bits}]: ${state}${detail}`;
}
