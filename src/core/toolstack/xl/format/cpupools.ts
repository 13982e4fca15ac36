// SPDX-License-Identifier: Apache-2.0
//
// xl cpupool-list and xl sched-credit2 (tools/xl/xl_cpupool.c, xl_sched.c).

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

/** The line above a table of sched-credit2. */
export const formatCreditHeader = (): string =>
  `${left("Name", 33)} ${right("ID", 4)} ${right("Weight", 6)} ${right("Cap", 4)}\n`;

/** A domain in sched-credit2. */
export const formatCreditRow = (row: {
  name: string | null;
  domid: number;
  weight: number;
  cap: number;
}): string => `${left(row.name, 33)} ${right(row.domid, 4)} ${right(row.weight, 6)} ${right(row.cap, 4)}\n`;

/** A pool in sched-credit2; null parameters when they cannot be had. */
export const formatCredit2Pool = (pool: string | null, params: { ratelimitUs: number } | null): string =>
  params === null
    ? `Cpupool ${pool ?? "(null)"}: [sched params unavailable]\n`
    : `Cpupool ${pool ?? "(null)"}: ratelimit=${params.ratelimitUs}us\n`;

/** The line above a table of sched-rtds. */
export const formatRtdsHeader = (vcpus: boolean): string =>
  `${left("Name", 33)} ${right("ID", 4)} ${vcpus ? `${right("VCPU", 4)} ` : ""}` +
  `${right("Period", 9)} ${right("Budget", 9)} ${right("Extratime", 10)}\n`;
