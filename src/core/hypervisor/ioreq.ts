// SPDX-License-Identifier: Apache-2.0
//
// IOREQ servers (xen/common/ioreq.c): where an HVM domain's accesses to emulated
// devices wait for a device model. A server's pages are the hypervisor's own in
// the domain's name, or guest frames set apart for it; it keeps its emulator's
// domain, and stays until it is destroyed, whatever becomes of the emulator.

import { HVM_PARAM_IOREQ_SERVER_PFN, HVM_PARAM_NR_IOREQ_SERVER_PAGES } from "../../abi/4.17/constants.ts";
import { ioreq } from "../../abi/4.17/layout.ts";
import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { allocUnbound, closePort } from "./event-channel.ts";
import { allocExtraPage } from "./extra-page.ts";
import { getDomain, putDomain } from "./free.ts";
import { hvmMemoryCell } from "./hvm-memory-cell.ts";
import { hvmParam } from "./hvm-params.ts";
import { physmapAdd, physmapRemove } from "./p2m.ts";
import { getPageAndType, putPageAllocRef, putPageAndType } from "./page.ts";
import type { PageHolder } from "./page.ts";
import { getGfn } from "./pod-populate.ts";
import { rangesetAdd, rangesetContains, rangesetOverlaps, rangesetRemove } from "./rangeset.ts";
import type { Range, Rangeset } from "./rangeset.ts";
import { NO_FRAME } from "./runs.ts";
import { evtchnPort } from "./port.ts";
import { vcpusOf } from "./vcpu.ts";

/** Servers a domain may have at once (MAX_NR_IOREQ_SERVERS). */
const SERVERS_MAX = 8;

/** Ranges of one kind a server may have (MAX_NR_IO_RANGES). */
const RANGES_MAX = 256;

/** A page of a server's. */
interface IoreqPage {
  /** NO_FRAME while there is none. */
  mfn: number;
  /** The guest frame it is, or NO_FRAME for one the hypervisor allocated. */
  gfn: number;
}

/** A server. Identifier of its cell: `domid/id`. */
export interface IoreqServer {
  emulator: number;
  /** The emulator's process: who to ask. */
  process: string;
  /** HVM_IOREQSRV_BUFIOREQ_*: whether there is a page for buffered requests, and how it is read. */
  bufioreqHandling: 0 | 1 | 2;
  enabled: boolean;
  ioreq: IoreqPage;
  bufioreq: IoreqPage;
  /** The port of each vCPU. */
  ports: number[];
  /** 0 where buffered requests are not handled. */
  bufioreqPort: number;
  /** What it emulates: which accesses are sent to it. */
  ranges: { [kind in IoRangeKind]: Rangeset };
}

/** Where an access goes: to a port, to memory, to a PCI device's configuration (XEN_DMOP_IO_RANGE_*). */
export type IoRangeKind = "port" | "memory" | "pci";

export const ioreqServerCell = cellType<IoreqServer>("ioreq-server", { provenance: ["process"] });

/** The identifier of a server's cell. */
export function ioreqServerId(domid: number, id: number): string {
  return `${domid}/${id}`;
}

/** A domain's servers, by number. */
export function* ioreqServersOf(cells: Cells, domid: number): Generator<[number, DeepReadonly<IoreqServer>]> {
  for (let id = 0; id < SERVERS_MAX; id++) {
    const server = cells.get(ioreqServerCell, ioreqServerId(domid, id));
    if (server !== undefined) yield [id, server];
  }
}

/** Makes a server with a port for each vCPU: EINVAL, ENOSPC, ENOMEM (ioreq_server_create). */
export function ioreqServerCreate(
  host: Host,
  d: DeepReadonly<Domain>,
  emulator: { domid: number; process: string },
  bufioreqHandling: number,
): number | Failure {
  if (bufioreqHandling !== 0 && bufioreqHandling !== 1 && bufioreqHandling !== 2) return fail("EINVAL");
  const taken = new Set([...ioreqServersOf(host, d.domid)].map(([id]) => id));
  const id = Array.from({ length: SERVERS_MAX }, (_, at) => at).find((at) => !taken.has(at));
  if (id === undefined) return fail("ENOSPC");
  const holder = serverName(d.domid, id);
  getDomain(host, emulator.domid, { holder, kind: "ioreq server", op: "ioreq_server_init" });
  host.add(ioreqServerCell, ioreqServerId(d.domid, id), {
    emulator: emulator.domid,
    process: emulator.process,
    bufioreqHandling,
    enabled: false,
    ioreq: { mfn: NO_FRAME, gfn: NO_FRAME },
    bufioreq: { mfn: NO_FRAME, gfn: NO_FRAME },
    ports: [],
    bufioreqPort: 0,
    ranges: { port: [], memory: [], pci: [] },
  });
  for (const [vcpu] of vcpusOf(host, d)) {
    const added = addVcpu(host, d.domid, id, vcpu);
    if (!isFailure(added)) continue;
    deinit(host, d.domid, id);
    return added;
  }
  return id;
}

/** A server in a ledger: "d1/ioreq0". */
function serverName(domid: number, id: number): string {
  return `d${domid}/ioreq${id}`;
}

function addVcpu(host: Host, domid: number, id: number, vcpu: number): 0 | Failure {
  const { emulator, bufioreqHandling } = must(host, ioreqServerCell, ioreqServerId(domid, id));
  const port = allocUnbound(host, domid, emulator, vcpu);
  if (isFailure(port)) return port;
  host.edit(ioreqServerCell, ioreqServerId(domid, id)).ports.push(port);
  if (vcpu !== 0 || bufioreqHandling === 0) return 0;
  const buffered = allocUnbound(host, domid, emulator, 0);
  if (isFailure(buffered)) return buffered;
  host.edit(ioreqServerCell, ioreqServerId(domid, id)).bufioreqPort = buffered;
  return 0;
}

/** Gives every server a port for a new vCPU: ENOSPC (ioreq_server_add_vcpu_all). */
export function ioreqServerAddVcpuAll(host: Host, domid: number, vcpu: number): 0 | Failure {
  for (const [id] of ioreqServersOf(host, domid)) {
    const added = addVcpu(host, domid, id, vcpu);
    if (isFailure(added)) return added;
  }
  return 0;
}

/** The ranges of a kind that a server has become others; a failure leaves them as they are. */
function changeRanges(
  cells: Cells,
  domid: number,
  id: number,
  kind: IoRangeKind,
  change: (set: DeepReadonly<Rangeset>) => Rangeset | Failure,
): 0 | Failure {
  const cell = ioreqServerId(domid, id);
  const changed = change(must(cells, ioreqServerCell, cell).ranges[kind]);
  if (isFailure(changed)) return changed;
  cells.edit(ioreqServerCell, cell).ranges[kind] = changed;
  return 0;
}

/**
 * A server is to be sent the accesses to a range: EEXIST where it has some of it,
 * ENOMEM (ioreq_server_map_io_range).
 */
export function ioreqServerMapRange(
  cells: Cells,
  domid: number,
  id: number,
  kind: IoRangeKind,
  range: Range,
): 0 | Failure {
  return changeRanges(cells, domid, id, kind, (set) =>
    rangesetOverlaps(set, range) ? fail("EEXIST") : rangesetAdd(set, range, RANGES_MAX),
  );
}

/** … no longer: ENOENT where it has not all of it, ENOMEM (ioreq_server_unmap_io_range). */
export function ioreqServerUnmapRange(
  cells: Cells,
  domid: number,
  id: number,
  kind: IoRangeKind,
  range: Range,
): 0 | Failure {
  return changeRanges(cells, domid, id, kind, (set) =>
    rangesetContains(set, range) ? rangesetRemove(set, range, RANGES_MAX) : fail("ENOENT"),
  );
}

/**
 * Lets a server take requests or no more (ioreq_server_enable, ioreq_server_disable). While it does, its guest
 * frames are not the guest's to see.
 */
export function ioreqServerSetState(host: Host, domid: number, id: number, enabled: boolean): void {
  const server = host.edit(ioreqServerCell, ioreqServerId(domid, id));
  if (server.enabled === enabled) return;
  server.enabled = enabled;
  for (const { mfn, gfn } of [server.ioreq, server.bufioreq]) {
    if (gfn === NO_FRAME) continue;
    if (enabled) physmapRemove(host, domid, gfn, 1);
    else physmapAdd(host, domid, gfn, mfn, 1, "ram");
  }
  if (!enabled || server.ioreq.mfn === NO_FRAME) return;
  for (const [vcpu, port] of server.ports.entries()) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, port, true);
    host.memory.write(server.ioreq.mfn, vcpu * ioreq.sizeof + ioreq.vp_eport.offset, bytes);
  }
}

/** Gives a server pages of the hypervisor's own: EPERM where it has guest frames, ENOMEM (ioreq_server_alloc_pages). */
export function ioreqServerAllocPages(host: Host, domid: number, id: number): 0 | Failure {
  const { bufioreqHandling } = must(host, ioreqServerCell, ioreqServerId(domid, id));
  for (const which of bufioreqHandling === 0 ? (["ioreq"] as const) : (["ioreq", "bufioreq"] as const)) {
    const allocated = allocMfn(host, domid, id, which);
    if (isFailure(allocated)) return allocated;
  }
  return 0;
}

function allocMfn(host: Host, domid: number, id: number, which: "ioreq" | "bufioreq"): 0 | Failure {
  const cell = ioreqServerId(domid, id);
  const { mfn, gfn } = must(host, ioreqServerCell, cell)[which];
  if (mfn !== NO_FRAME) return gfn === NO_FRAME ? 0 : fail("EPERM");
  const page = allocExtraPage(host, domid);
  if (isFailure(page)) return fail("ENOMEM");
  getPageAndType(host, page, domid, "writable", holderOf(domid, id, "ioreq_server_alloc_mfn"));
  host.edit(ioreqServerCell, cell)[which].mfn = page;
  return 0;
}

function holderOf(domid: number, id: number, op: string): PageHolder {
  return { holder: serverName(domid, id), kind: "ioreq", op };
}

/** Gives a server guest frames that were set apart: EPERM where it has its own pages, ENOMEM (hvm_map_ioreq_gfn). */
export function ioreqServerMapPages(host: Host, domid: number, id: number): 0 | Failure {
  const { bufioreqHandling } = must(host, ioreqServerCell, ioreqServerId(domid, id));
  for (const which of bufioreqHandling === 0 ? (["ioreq"] as const) : (["ioreq", "bufioreq"] as const)) {
    const mapped = mapGfn(host, domid, id, which);
    if (isFailure(mapped)) return mapped;
  }
  return 0;
}

function mapGfn(host: Host, domid: number, id: number, which: "ioreq" | "bufioreq"): 0 | Failure {
  const cell = ioreqServerId(domid, id);
  const page = must(host, ioreqServerCell, cell)[which];
  if (page.mfn !== NO_FRAME) return page.gfn === NO_FRAME ? fail("EPERM") : 0;
  const d = must(host, domainCell, domid);
  if (d.isDying !== "alive") return fail("EINVAL");
  const gfn = freeIoreqGfn(host, domid);
  if (gfn === NO_FRAME) return fail("ENOMEM");
  const mfn = getGfn(host, d, gfn, domid);
  const holder = holderOf(domid, id, "prepare_ring_for_helper");
  if (mfn === NO_FRAME || !getPageAndType(host, mfn, domid, "writable", holder)) return fail("EINVAL");
  const edited = host.edit(ioreqServerCell, cell)[which];
  edited.mfn = mfn;
  edited.gfn = gfn;
  return 0;
}

/** The first guest frame set apart for servers that none has. */
function freeIoreqGfn(cells: Cells, domid: number): number {
  const base = Number(hvmParam(cells, domid, HVM_PARAM_IOREQ_SERVER_PFN));
  const count = Number(hvmParam(cells, domid, HVM_PARAM_NR_IOREQ_SERVER_PAGES));
  const used = new Set(
    [...ioreqServersOf(cells, domid)].flatMap(([, { ioreq, bufioreq }]) => [ioreq.gfn, bufioreq.gfn]),
  );
  for (let gfn = base; gfn < base + count; gfn++) if (!used.has(gfn)) return gfn;
  return NO_FRAME;
}

/** Ends a server: its ports, its pages, its reference on the emulator's domain (ioreq_server_destroy). */
export function ioreqServerDestroy(host: Host, domid: number, id: number): void {
  ioreqServerSetState(host, domid, id, false);
  deinit(host, domid, id);
}

function deinit(host: Host, domid: number, id: number): void {
  const { emulator, ports, bufioreqPort, ioreq, bufioreq } = must(
    host,
    ioreqServerCell,
    ioreqServerId(domid, id),
  );
  // A dying domain's ports are gone already.
  for (const port of [bufioreqPort, ...ports])
    if (port !== 0 && evtchnPort(host, domid, port) !== undefined) closePort(host, domid, port, false);
  host.drop(ioreqServerCell, ioreqServerId(domid, id));
  // Pages of its type stay what they are until somebody says otherwise (arch_ioreq_server_destroy).
  if (host.get(hvmMemoryCell, domid)?.typeServer === id) host.edit(hvmMemoryCell, domid).typeServer = null;
  for (const { mfn, gfn } of [ioreq, bufioreq]) {
    if (mfn === NO_FRAME) continue;
    if (gfn === NO_FRAME) putPageAllocRef(host, mfn);
    putPageAndType(host, mfn, serverName(domid, id), "ioreq");
  }
  putDomain(host, emulator, serverName(domid, id), "ioreq server");
}

/** Ends all of a dying domain's servers (ioreq_server_destroy_all). */
export function ioreqServerDestroyAll(host: Host, domid: number): void {
  for (const [id] of ioreqServersOf(host, domid)) ioreqServerDestroy(host, domid, id);
}
