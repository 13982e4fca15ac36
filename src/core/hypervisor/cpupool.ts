// SPDX-License-Identifier: Apache-2.0
//
// CPU pools: which processors are scheduled together, and which domains run on
// them (xen/common/sched/cpupool.c). The only scheduler built in is Credit2.

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { isPrivileged, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById, domainCell, forEachDomain } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { machineOf } from "./machine.ts";
import { vcpuCell, vcpuId, vcpusOf } from "./vcpu.ts";

/** XEN_SCHEDULER_CREDIT2. */
export const SCHED_CREDIT2 = 6;

/** Microseconds a vCPU may run before another takes its place: 0, or within these (XEN_SYSCTL_SCHED_RATELIMIT_*). */
const RATELIMIT_MIN = 100;
const RATELIMIT_MAX = 500_000;

export interface Cpupool {
  /** Its processors, in ascending order. */
  cpus: number[];
  ratelimitUs: number;
  /** Domains in it, those included that are off the list and not yet freed (n_dom). */
  nDom: number;
}

export const cpupoolCell = cellType<Cpupool>("cpupool");

/** At boot all processors are in pool 0. */
export function cpupoolInit(cells: Cells): void {
  cells.add(cpupoolCell, 0, { cpus: allCpus(cells), ratelimitUs: 1000, nDom: 0 });
}

/** A domain was put into a pool (cpupool_add_domain). */
export function cpupoolAddDomain(cells: Cells, poolid: number): void {
  cells.edit(cpupoolCell, poolid).nDom++;
}

/** A domain is freed (cpupool_rm_domain). */
export function cpupoolRmDomain(cells: Cells, poolid: number): void {
  cells.edit(cpupoolCell, poolid).nDom--;
}

function allCpus(cells: Cells): number[] {
  return Array.from({ length: machineOf(cells).nrCpus }, (_, cpu) => cpu);
}

/** The numbers of the pools, ascending. */
function poolIds(cells: Cells): number[] {
  return (cells.ids(cpupoolCell) as readonly number[]).toSorted((a, b) => a - b);
}

function domainsOf(cells: Cells, poolid: number): DeepReadonly<Domain>[] {
  return [...forEachDomain(cells)].filter(({ cpupool }) => cpupool === poolid);
}

/** Whether a new domain can be in that pool: ESRCH where there is none, ENODEV for one without processors. */
export function cpupoolTakesDomain(cells: Cells, poolid: number): 0 | Failure {
  const pool = cells.get(cpupoolCell, poolid);
  if (pool === undefined) return fail("ESRCH");
  return pool.cpus.length === 0 ? fail("ENODEV") : 0;
}

/** XEN_SYSCTL_CPUPOOL_OP_INFO's answer. */
export interface CpupoolInfo {
  cpupoolId: number;
  schedId: number;
  nDom: number;
  cpus: number[];
}

/** The first pool from `cpupoolId` on; ENOENT after the last. */
export function cpupoolInfo(
  host: Host,
  caller: Caller,
  { cpupoolId }: { cpupoolId: number },
): CpupoolInfo | Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  const found = poolIds(host).find((poolid) => poolid >= cpupoolId);
  if (found === undefined) return fail("ENOENT");
  const { cpus, nDom } = must(host, cpupoolCell, found);
  return { cpupoolId: found, schedId: SCHED_CREDIT2, nDom, cpus: [...cpus] };
}

/** The processors that are in no pool. */
export function cpupoolFreeinfo(host: Host, caller: Caller): number[] | Failure {
  return isPrivileged(host, caller) ? freeCpus(host) : fail("EPERM");
}

function freeCpus(cells: Cells): number[] {
  const taken = new Set(poolIds(cells).flatMap((poolid) => must(cells, cpupoolCell, poolid).cpus));
  return allCpus(cells).filter((cpu) => !taken.has(cpu));
}

/** Performs one of the operations that change pools, for control domains, and records it. */
function change<R>(
  host: Host,
  caller: Caller,
  name: string,
  args: { readonly [name: string]: number },
  run: () => R | Failure,
): R | Failure {
  const dom = args["dom"] ?? -1;
  const result = isPrivileged(host, caller) ? run() : fail("EPERM");
  return traced(host, caller, `sysctl cpupool_op ${name}`, dom, args, result);
}

/**
 * Makes an empty pool, of a number or, with null, of one that is free: EEXIST,
 * ENOSPC, ENOENT for a scheduler that is not built in.
 */
export function cpupoolCreate(
  host: Host,
  caller: Caller,
  { cpupoolId, schedId }: { cpupoolId: number | null; schedId: number },
): { cpupoolId: number } | Failure {
  return change(host, caller, "create", { sched: schedId }, () => {
    const ids = poolIds(host);
    if (ids.length >= 2 * machineOf(host).nrCpus) return fail("ENOSPC");
    if (cpupoolId !== null && ids.includes(cpupoolId)) return fail("EEXIST");
    if (schedId !== SCHED_CREDIT2) return fail("ENOENT");
    const made = cpupoolId ?? (ids.at(-1) ?? -1) + 1;
    host.add(cpupoolCell, made, { cpus: [], ratelimitUs: 1000, nDom: 0 });
    return { cpupoolId: made };
  });
}

/** Takes an empty pool away: ENOENT, EBUSY for one with processors or domains. */
export function cpupoolDestroy(
  host: Host,
  caller: Caller,
  { cpupoolId }: { cpupoolId: number },
): 0 | Failure {
  return change(host, caller, "destroy", { pool: cpupoolId }, () => {
    const pool = host.get(cpupoolCell, cpupoolId);
    if (pool === undefined) return fail("ENOENT");
    if (pool.cpus.length > 0 || pool.nDom > 0) return fail("EBUSY");
    host.drop(cpupoolCell, cpupoolId);
    return 0;
  });
}

/** XEN_SYSCTL_CPUPOOL_PAR_ANY: any processor will do. */
const ANY_CPU = 0xffffffff;

/** Gives a pool a free processor: ENOENT, EINVAL for no processor, ENODEV for one that is not free. */
export function cpupoolAddcpu(
  host: Host,
  caller: Caller,
  { cpupoolId, cpu: asked }: { cpupoolId: number; cpu: number },
): 0 | Failure {
  return change(host, caller, "addcpu", { pool: cpupoolId, cpu: asked }, () => {
    if (host.get(cpupoolCell, cpupoolId) === undefined) return fail("ENOENT");
    const cpu = asked === ANY_CPU ? freeCpus(host)[0] : asked;
    if (cpu === undefined) return fail("ENODEV");
    if (cpu >= machineOf(host).nrCpus) return fail("EINVAL");
    if (!freeCpus(host).includes(cpu)) return fail("ENODEV");
    const pool = host.edit(cpupoolCell, cpupoolId);
    pool.cpus = [...pool.cpus, cpu].toSorted((a, b) => a - b);
    return 0;
  });
}

/**
 * Takes a processor out of a pool; what ran on it moves to others of the pool.
 * ENOENT, EINVAL for processor 0 of pool 0 or none, EADDRNOTAVAIL for another
 * pool's, EBUSY for the last one while a domain that is not dying needs it.
 */
export function cpupoolRmcpu(
  host: Host,
  caller: Caller,
  { cpupoolId, cpu: asked }: { cpupoolId: number; cpu: number },
): 0 | Failure {
  return change(host, caller, "rmcpu", { pool: cpupoolId, cpu: asked }, () => {
    const pool = host.get(cpupoolCell, cpupoolId);
    if (pool === undefined) return fail("ENOENT");
    const cpu = asked === ANY_CPU ? (pool.cpus.at(-1) ?? ANY_CPU) : asked;
    if (cpu >= machineOf(host).nrCpus || (cpupoolId === 0 && cpu === 0)) return fail("EINVAL");
    if (!pool.cpus.includes(cpu)) return fail("EADDRNOTAVAIL");
    const domains = domainsOf(host, cpupoolId);
    if (pool.cpus.length === 1) {
      if (domains.some(({ isDying }) => isDying === "alive")) return fail("EBUSY");
      for (const { domid } of domains) moveDomain(host, domid, 0);
    }
    const changed = host.edit(cpupoolCell, cpupoolId);
    changed.cpus = changed.cpus.filter((other) => other !== cpu);
    for (const d of domainsOf(host, cpupoolId)) placeVcpus(host, d);
    return 0;
  });
}

/** Moves a domain to another pool: ESRCH, EPERM for the caller's own, ENOENT for no pool or one without processors. */
export function cpupoolMovedomain(
  host: Host,
  caller: Caller,
  { cpupoolId, domid }: { cpupoolId: number; domid: number },
): 0 | Failure {
  return change(host, caller, "movedomain", { pool: cpupoolId, dom: domid }, () => {
    if (domid === caller.domid) return fail("EPERM");
    const d = domainById(host, domid);
    if (d === undefined) return fail("ESRCH");
    if (d.cpupool === cpupoolId) return 0;
    if (isFailure(cpupoolTakesDomain(host, cpupoolId))) return fail("ENOENT");
    moveDomain(host, domid, cpupoolId);
    return 0;
  });
}

/** A domain that is killed ends in pool 0, whatever holds it afterwards (domain_kill): its pool can be taken away. */
export function cpupoolMoveDead(host: Host, domid: number): void {
  if (must(host, domainCell, domid).cpupool !== 0) moveDomain(host, domid, 0);
}

/** A domain's affinities do not outlive a move (sched_move_domain). */
function moveDomain(host: Host, domid: number, poolid: number): void {
  const d = host.edit(domainCell, domid);
  cpupoolRmDomain(host, d.cpupool);
  cpupoolAddDomain(host, poolid);
  d.cpupool = poolid;
  for (const [vcpu] of vcpusOf(host, d)) {
    const v = host.edit(vcpuCell, vcpuId(domid, vcpu));
    v.hardAffinity = "all";
    v.softAffinity = "all";
  }
  placeVcpus(host, d);
}

/** Moves vCPUs that are on processors their pool has not. */
export function placeVcpus(host: Host, d: DeepReadonly<Domain>): void {
  const { cpus } = must(host, cpupoolCell, d.cpupool);
  for (const [vcpu, { processor }] of vcpusOf(host, d)) {
    const to = cpus[vcpu % cpus.length];
    if (to !== undefined && !cpus.includes(processor))
      host.edit(vcpuCell, vcpuId(d.domid, vcpu)).processor = to;
  }
}

/** Asked of a pool's scheduler: EPERM, ESRCH for no pool, EINVAL for another scheduler's parameters. */
function scheduled(cells: Cells, caller: Caller, cpupoolId: number, schedId: number): 0 | Failure {
  if (!isPrivileged(cells, caller)) return fail("EPERM");
  if (cells.get(cpupoolCell, cpupoolId) === undefined) return fail("ESRCH");
  return schedId === SCHED_CREDIT2 ? 0 : fail("EINVAL");
}

/** Whose parameters are meant; pool 0's and Credit2's where nothing is said. */
export interface OfScheduler {
  cpupoolId?: number;
  schedId?: number;
}

/** A pool's rate limit in microseconds (XEN_SYSCTL_scheduler_op, getinfo). */
export function schedulerParams(
  host: Host,
  caller: Caller,
  { cpupoolId = 0, schedId = SCHED_CREDIT2 }: OfScheduler = {},
): { ratelimitUs: number } | Failure {
  const may = scheduled(host, caller, cpupoolId, schedId);
  return isFailure(may) ? may : { ratelimitUs: must(host, cpupoolCell, cpupoolId).ratelimitUs };
}

/** Sets it; EINVAL out of its range. */
export function setSchedulerParams(
  host: Host,
  caller: Caller,
  { cpupoolId = 0, schedId = SCHED_CREDIT2, ratelimitUs }: OfScheduler & { ratelimitUs: number },
): 0 | Failure {
  const may = scheduled(host, caller, cpupoolId, schedId);
  const inRange = ratelimitUs === 0 || (ratelimitUs >= RATELIMIT_MIN && ratelimitUs <= RATELIMIT_MAX);
  const result = isFailure(may) || inRange ? may : fail("EINVAL");
  if (!isFailure(result)) host.edit(cpupoolCell, cpupoolId).ratelimitUs = ratelimitUs;
  return traced(host, caller, "sysctl scheduler_op", -1, { cmd: 0, ratelimit_us: ratelimitUs }, result);
}
