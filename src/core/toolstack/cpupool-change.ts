// SPDX-License-Identifier: Apache-2.0
//
// Making, changing and unmaking CPU pools (tools/libs/light/libxl_cpupool.c).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import * as xen from "../hypervisor/cpupool.ts";
import type { CpupoolInfo } from "../hypervisor/cpupool.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_FAIL, ERROR_INVAL, ERROR_NOMEM } from "./rc.ts";
import { transaction } from "./transaction.ts";
import { mkdirRequest, rmRequest, writeRequest, xsScript } from "./xs.ts";

const dirOf = (poolid: number): string => `/local/pool/${poolid}`;

/** The pool of exactly that number; fails, and says nothing, where there is none. */
function exactInfo(host: Host, process: string, cpupoolId: number): CpupoolInfo | Failure {
  const info = xen.cpupoolInfo(host, dom0(process), { cpupoolId });
  if (isFailure(info)) return fail(ERROR_NOMEM);
  return info.cpupoolId === cpupoolId ? info : fail(ERROR_INVAL);
}

/** Takes a pool's processors away and then the pool; ERROR_INVAL while it has domains. */
function destroyInXen(host: Host, process: string, cpupoolId: number): void | Failure {
  const caller = dom0(process);
  const info = exactInfo(host, process, cpupoolId);
  if (isFailure(info)) return info;
  if (info.nDom > 0) return fail(ERROR_INVAL);
  const complain = (line: number, text: string): Failure => {
    libxlError(host, process, `libxl_cpupool.c:${line}:libxl_cpupool_destroy`, text);
    return fail(ERROR_FAIL);
  };
  for (const cpu of info.cpus) {
    if (isFailure(xen.cpupoolRmcpu(host, caller, { cpupoolId, cpu })))
      return complain(221, "Error removing cpu from cpupool");
  }
  return isFailure(xen.cpupoolDestroy(host, caller, { cpupoolId }))
    ? complain(229, "Could not destroy cpupool")
    : undefined;
}

/** Makes an empty pool in Xen and gives it processors; its number. What failed is taken back. */
function createInXen(
  host: Host,
  process: string,
  schedId: number,
  cpus: readonly number[],
): number | Failure {
  const caller = dom0(process);
  const where = (line: number): string => `libxl_cpupool.c:${line}:libxl_cpupool_create`;
  const made = xen.cpupoolCreate(host, caller, { cpupoolId: null, schedId });
  if (isFailure(made)) {
    libxlError(host, process, where(157), "Could not create cpupool");
    return fail(ERROR_FAIL);
  }
  for (const cpu of cpus) {
    if (!isFailure(xen.cpupoolAddcpu(host, caller, { ...made, cpu }))) continue;
    libxlError(host, process, where(167), "Error moving cpu to cpupool");
    destroyInXen(host, process, made.cpupoolId);
    return fail(ERROR_FAIL);
  }
  return made.cpupoolId;
}

/** Makes a pool. Fails, and says so, where Xen refuses. */
export const createCpupool = routine(
  "libxl_cpupool_create",
  (a: { process: string; name: string; schedId: number; cpus: readonly number[]; uuid: string }) => ({
    ...a,
    t: 0,
    poolid: -1,
  }),
  (words) => {
    const { step, call } = words;
    return [
      step("cpupool_op create", (host, l) => {
        const made = createInXen(host, l.process, l.schedId, l.cpus);
        if (isFailure(made)) return made;
        l.poolid = made;
        return;
      }),
      transaction(words, [
        call("nodes", xsScript, ({ process, t, poolid, uuid, name }) => ({
          process,
          t,
          requests: [
            mkdirRequest(dirOf(poolid)),
            writeRequest(`${dirOf(poolid)}/uuid`, uuid),
            writeRequest(`${dirOf(poolid)}/name`, name),
          ],
        })),
      ]),
    ];
  },
);

/** Unmakes a pool without domains. */
export const destroyCpupool = routine(
  "libxl_cpupool_destroy",
  (a: { process: string; poolid: number }) => ({ ...a, t: 0 }),
  (words) => [
    words.step("cpupool_op destroy", (host, { process, poolid }) => destroyInXen(host, process, poolid)),
    // libxl removes the node beside the transaction it opens for that.
    transaction(words, [
      words.call("nodes", xsScript, ({ process, poolid }) => ({
        process,
        requests: [rmRequest(dirOf(poolid))],
      })),
    ]),
  ],
);

/** Renames a pool. */
export const renameCpupool = routine(
  "libxl_cpupool_rename",
  (a: { process: string; poolid: number; name: string }) => ({ ...a, t: 0 }),
  (words) => [
    words.step("cpupool_op info", (host, { process, poolid }) => {
      const info = exactInfo(host, process, poolid);
      return isFailure(info) ? info : undefined;
    }),
    transaction(words, [
      words.call("name", xsScript, ({ process, t, poolid, name }) => ({
        process,
        t,
        requests: [writeRequest(`${dirOf(poolid)}/name`, name)],
      })),
    ]),
  ],
);

/** Gives a pool a processor. Fails, and says so. */
export function addCpu(host: Host, process: string, cpupoolId: number, cpu: number): void | Failure {
  const added = xen.cpupoolAddcpu(host, dom0(process), { cpupoolId, cpu });
  if (!isFailure(added)) return;
  return reported(
    host,
    process,
    "libxl_cpupool.c:302:libxl_cpupool_cpuadd",
    `Error moving cpu ${cpu} to cpupool`,
    added,
  );
}

/** Takes a processor from a pool. Fails, and says so. */
export function removeCpu(host: Host, process: string, cpupoolId: number, cpu: number): void | Failure {
  const removed = xen.cpupoolRmcpu(host, dom0(process), { cpupoolId, cpu });
  if (!isFailure(removed)) return;
  const where = "libxl_cpupool.c:365:libxl_cpupool_cpuremove";
  return reported(host, process, where, `Error removing cpu ${cpu} from cpupool`, removed);
}

/** Moves a domain to another pool. Fails, and says so. */
export function moveDomain(host: Host, process: string, cpupoolId: number, domid: number): void | Failure {
  if (!isFailure(xen.cpupoolMovedomain(host, dom0(process), { cpupoolId, domid }))) return;
  libxlError(
    host,
    process,
    "libxl_cpupool.c:437:libxl_cpupool_movedomain",
    "Error moving domain to cpupool",
    domid,
  );
  return fail(ERROR_FAIL);
}
