// SPDX-License-Identifier: Apache-2.0
//
// Settling a process's configuration: its CPU pool, and what it leaves open
// (tools/libs/light/libxl_create.c, libxl__domain_config_setdefault).

import { fail, present } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { settleConfig } from "./config-defaults.ts";
import { cpupoolidToName, cpupoolOf } from "./cpupool.ts";
import { createState, createStateCell } from "./create-state.ts";
import { libxlError } from "./log.ts";
import { ERROR_INVAL } from "./rc.ts";

/** Settles what is open. Fails with ERROR_INVAL, and says so, where it cannot be. */
function settle(host: Host, process: string, poolid: number): void | Failure {
  const state = host.edit(createStateCell, process);
  for (const disk of [...state.given.disks, ...state.settled.disks]) disk.colo_restore_enable = false;
  state.settled.c_info.poolid = poolid;
  const settled = settleConfig(state.settled);
  if ("text" in settled) {
    libxlError(host, process, settled.where, settled.text);
    return fail(ERROR_INVAL);
  }
  state.settled = settled;
}

/** Settles the configuration of the process's create state; it may have been settled before. */
export const setDefaults = routine(
  "libxl__domain_config_setdefault",
  (a: { process: string }) => ({
    ...a,
    given: null as string | null,
    poolid: 0,
    pool: null as string | null,
  }),
  ({ step, when, attempt, call }) => [
    step("which pool", (host, l) => {
      const { pool_name, poolid } = createState(host, l.process).settled.c_info;
      l.given = pool_name;
      l.poolid = poolid;
    }),
    when("by name", (l) => l.given !== null, [
      attempt([
        call(
          "libxl_cpupool_qualifier_to_cpupoolid",
          cpupoolOf,
          ({ process, given }) => ({ process, pool: present(given) }),
          (l, poolid) => void (l.poolid = poolid),
        ),
      ]).onError((l) => void (l.poolid = -1), []),
    ]),
    call(
      "libxl_cpupoolid_is_valid",
      cpupoolidToName,
      ({ process, poolid }) => ({ process, poolid }),
      (l, pool) => void (l.pool = pool),
    ),
    step("set defaults", (host, l) => {
      if (l.pool !== null) return settle(host, l.process, l.poolid);
      const where = "libxl_create.c:1134:libxl__domain_config_setdefault";
      libxlError(host, l.process, where, `Illegal pool specified: ${l.given ?? "(null)"}`);
      return fail(ERROR_INVAL);
    }),
  ],
);
