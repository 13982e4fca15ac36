// SPDX-License-Identifier: Apache-2.0
//
// xl cpupool-list, cpupool-create, and the scheduler verbs (tools/xl/xl_cpupool.c,
// xl_sched.c).

import { left, right } from "./printf.ts";

/** A CPU pool (libxl_cpupoolinfo). */
export interface CpupoolRow {
  name: string | null;
  cpus: readonly number[];
  /** libxl's name of the scheduler. */
  scheduler: string;
  domains: number;
}

/** xl cpupool-list; with -c the CPUs themselves. */
export function formatCpupoolList(pools: readonly CpupoolRow[], listCpus: boolean): string {
  const header = listCpus ? "CPU list\n" : "CPUs   Sched     Active   Domain count\n";
  const lines = pools.map(({ name, cpus, scheduler, domains }) => {
    const counts = `${right(cpus.length, 3)} ${right(scheduler, 9)}       y       ${right(domains, 4)}`;
    return `${left(name, 19)}${listCpus ? cpus.join(",") : counts}\n`;
  });
  return `${left("Name", 19)}${header}${lines.join("")}`;
}

/** What xl cpupool-create says before it creates the pool. */
export const formatNewCpupool = (source: string, name: string, scheduler: string, cpus: number): string =>
  `Using config file "${source}"\ncpupool name:   ${name}\nscheduler:      ${scheduler}\nnumber of cpus: ${cpus}\n`;

/** The line above a table of sched-credit and sched-credit2. */
export const formatCreditHeader = (): string =>
  `${left("Name", 33)} ${right("ID", 4)} ${right("Weight", 6)} ${right("Cap", 4)}\n`;

/** A domain in sched-credit and sched-credit2. */
export const formatCreditRow = (row: { name: string | null; domid: number; weight: number; cap: number }): string =>
  `${left(row.name, 33)} ${right(row.domid, 4)} ${right(row.weight, 6)} ${right(row.cap, 4)}\n`;

/** A pool in sched-credit; null parameters when they cannot be had. */
export const formatCreditPool = (
  pool: string | null,
  params: { tsliceMs: number; ratelimitUs: number; migrationDelayUs: number } | null,
): string =>
  params === null
    ? formatPoolWithoutParams(pool)
    : `Cpupool ${pool ?? "(null)"}: tslice=${params.tsliceMs}ms ratelimit=${params.ratelimitUs}us ` +
      `migration-delay=${params.migrationDelayUs}us\n`;

/** A pool in sched-credit2; null parameters when they cannot be had. */
export const formatCredit2Pool = (pool: string | null, params: { ratelimitUs: number } | null): string =>
  params === null ? formatPoolWithoutParams(pool) : `Cpupool ${pool ?? "(null)"}: ratelimit=${params.ratelimitUs}us\n`;

const formatPoolWithoutParams = (pool: string | null): string =>
  `Cpupool ${pool ?? "(null)"}: [sched params unavailable]\n`;

/** A pool in sched-rtds. */
export const formatRtdsPool = (pool: string | null): string => `Cpupool ${pool ?? "(null)"}: sched=RTDS\n`;

/** The line above a table of sched-rtds, with or without a column for vCPUs. */
export const formatRtdsHeader = (vcpus: boolean): string =>
  `${left("Name", 33)} ${right("ID", 4)} ${vcpus ? `${right("VCPU", 4)} ` : ""}` +
  `${right("Period", 9)} ${right("Budget", 9)} ${right("Extratime", 10)}\n`;

/** A domain, or with `vcpu` one of its vCPUs, in sched-rtds. Times in microseconds. */
export const formatRtdsRow = (row: {
  name: string | null;
  domid: number;
  vcpu: number | null;
  period: number;
  budget: number;
  extratime: boolean;
}): string =>
  `${left(row.name, 33)} ${right(row.domid, 4)} ${row.vcpu === null ? "" : `${right(row.vcpu, 4)} `}` +
  `${right(row.period, 9)} ${right(row.budget, 9)} ${right(row.extratime ? "yes" : "no", 10)}\n`;
