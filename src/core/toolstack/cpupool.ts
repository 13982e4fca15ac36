// SPDX-License-Identifier: Apache-2.0
//
// CPU pools as libxl knows them: Xen's numbers, names in xenstore
// (tools/libs/light/libxl_cpupool.c, libxl_utils.c).

import { fail, isFailure, present } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { cpupoolFreeinfo, cpupoolInfo } from "../hypervisor/cpupool.ts";
import type { CpupoolInfo } from "../hypervisor/cpupool.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import { ERROR_FAIL, ERROR_INVAL } from "./rc.ts";
import { xsRead } from "./xs.ts";
import { sameProcess } from "./same.ts";

/** A pool and its name. */
export type Cpupool = { [K in keyof CpupoolInfo]: CpupoolInfo[K] } & { name: string };

/** A pool's name, or null where it has none: then nobody counts it as a pool. */
export const cpupoolidToName = routine(
  "libxl_cpupoolid_to_name",
  (a: { process: string; poolid: number }) => ({ ...a, name: null as string | null }),
  ({ call }) => [
    call(
      "xs_read",
      xsRead,
      ({ process, poolid }) => ({ process, path: `/local/pool/${poolid}/name` }),
      (l, name) => {
        l.name = name;
      },
    ),
  ],
  (l) => l.name,
);

/** One pool (libxl_cpupool_info). Fails where there is none, or none with a name. */
export const cpupoolInfoNamed = routine(
  "libxl_cpupool_info",
  (a: { process: string; poolid: number }) => ({
    ...a,
    info: null as CpupoolInfo | null,
    name: null as string | null,
  }),
  ({ step, call, when, failWith }) => [
    step("cpupool_op info", (host, l) => {
      const info = cpupoolInfo(host, dom0(l.process), { cpupoolId: l.poolid });
      if (!isFailure(info) && info.cpupoolId === l.poolid) return void (l.info = info);
      const text = `failed to get info for cpupool${l.poolid}`;
      return reported(
        host,
        l.process,
        "libxl_cpupool.c:36:cpupool_info",
        text,
        isFailure(info) ? info : fail("ENOENT"),
      );
    }),
    call(
      "name",
      cpupoolidToName,
      ({ process, poolid }) => ({ process, poolid }),
      (l, name) => void (l.name = name),
    ),
    when("has no name", (l) => l.name === null, [failWith("no name", ERROR_FAIL)]),
  ],
  (l): Cpupool => ({ ...present(l.info), name: present(l.name) }),
);

/** Every pool, in the order of their numbers. */
export const listCpupools = routine(
  "libxl_list_cpupool",
  (a: { process: string }) => ({
    ...a,
    info: null as CpupoolInfo | null,
    pools: [] as Cpupool[],
    done: false,
  }),
  ({ repeatUntil, step, when, call, failWith }) => [
    repeatUntil("no more pools", (l) => l.done, [
      step("cpupool_op info", (host, l) => {
        const cpupoolId = l.info === null ? 0 : l.info.cpupoolId + 1;
        const info = cpupoolInfo(host, dom0(l.process), { cpupoolId });
        if (isFailure(info) && info.errno !== "ENOENT") return info;
        l.done = isFailure(info);
        if (!isFailure(info)) l.info = info;
        return;
      }),
      when("one more", (l) => !l.done, [
        call(
          "name",
          cpupoolidToName,
          ({ process, info }) => ({ process, poolid: present(info).cpupoolId }),
          (l, name) => {
            if (name !== null) l.pools.push({ ...present(l.info), name });
          },
        ),
      ]),
    ]),
    when("none", (l) => l.pools.length === 0, [failWith("no pool", ERROR_FAIL)]),
  ],
  (l) => l.pools,
);

/** The pool of a name. ERROR_INVAL where nobody has it. */
export const nameToCpupoolid = routine(
  "libxl_name_to_cpupoolid",
  (a: { process: string; name: string }) => ({
    ...a,
    poolids: [] as number[],
    poolid: -1,
    found: null as number | null,
  }),
  ({ call, each, when, failWith }) => [
    call("libxl_list_cpupool", listCpupools, sameProcess, (l, pools) => {
      l.poolids = pools.map(({ cpupoolId }) => cpupoolId);
    }),
    each(
      "pool",
      (l) => l.poolids,
      (l, poolid) => void (l.poolid = poolid),
      [
        when("not found yet", (l) => l.found === null, [
          call(
            "name",
            cpupoolidToName,
            ({ process, poolid }) => ({ process, poolid }),
            (l, name) => {
              if (name === l.name) l.found = l.poolid;
            },
          ),
        ]),
      ],
    ),
    when("no such name", (l) => l.found === null, [failWith("ERROR_INVAL", ERROR_INVAL)]),
  ],
  (l) => present(l.found),
);

/**
 * The pool a user named by number or name, which must be there (libxl_cpupool_qualifier_to_cpupoolid).
 * ERROR_INVAL otherwise.
 */
export const cpupoolOf = routine(
  "libxl_cpupool_qualifier_to_cpupoolid",
  (a: { process: string; pool: string }) => ({
    ...a,
    poolid: /^\d*$/.test(a.pool) ? Number(a.pool) : -1,
    name: null as string | null,
  }),
  ({ when, call, failWith }) => [
    when("by name", (l) => l.poolid < 0, [
      call(
        "libxl_name_to_cpupoolid",
        nameToCpupoolid,
        ({ process, pool }) => ({ process, name: pool }),
        (l, poolid) => {
          l.poolid = poolid;
        },
      ),
    ]),
    call(
      "libxl_cpupoolid_is_valid",
      cpupoolidToName,
      ({ process, poolid }) => ({ process, poolid }),
      (l, name) => {
        l.name = name;
      },
    ),
    when("has no name", (l) => l.name === null, [failWith("no such pool", ERROR_INVAL)]),
  ],
  (l) => l.poolid,
);

/** The CPUs that are in no pool (libxl_get_freecpus). */
export function freeCpus(host: Host, process: string): number[] | Failure {
  const free = cpupoolFreeinfo(host, dom0(process));
  return isFailure(free) ? fail(ERROR_FAIL) : free;
}
