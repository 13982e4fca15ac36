// SPDX-License-Identifier: Apache-2.0
//
// cpupool-list, -destroy, -rename, -cpu-add, -cpu-remove, -migrate, -numa-split
// (tools/xl/xl_cpupool.c).

import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { cputopoinfo } from "../../hypervisor/sysctl.ts";
import { addCpu, destroyCpupool, moveDomain, removeCpu, renameCpupool } from "../cpupool-change.ts";
import { freeCpus, listCpupools, nameToCpupoolid } from "../cpupool.ts";
import type { Cpupool } from "../cpupool.ts";
import { domainInfo } from "../dominfo.ts";
import { dom0 } from "../libxl-ctx.ts";
import { domidToName, qualifierToDomid } from "../name.ts";
import { SCHEDULERS } from "../physinfo.ts";
import { ERROR_INVAL } from "../rc.ts";
import { setVcpuOnline } from "../vcpu.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import { hostCpus } from "../xl-config.ts";
import { formatCpupoolList } from "../xl/format/cpupools.ts";
import * as say from "../xl/messages.ts";
import { allocCpuBitmap, cpuBitmapBits, parseCpuRange } from "../xlcfg/cpu-range.ts";
import { poolNamed } from "./pool-named.ts";

/** `xl cpupool-list`. */
export const cpupoolListVerb = verb(
  "cpupool-list",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    only: null as number | null,
    pools: [] as Cpupool[],
  }),
  ({ when, attempt, call, step, failWith }) => [
    when("one", (l) => l.command.pool !== null, [
      attempt([
        call(
          "libxl_name_to_cpupoolid",
          nameToCpupoolid,
          ({ process, command }) => ({ process, name: command.pool as string }),
          (l, poolid) => {
            l.only = poolid;
          },
        ),
      ]).onError(() => {}, [
        step("complain", (host, l) =>
          stderr(host, l.process, say.poolDoesNotExist(l.command.pool as string)),
        ),
        failWith("no such pool", ERROR_INVAL),
      ]),
    ]),
    call(
      "libxl_list_cpupool",
      listCpupools,
      ({ process }) => ({ process }),
      (l, pools) => void (l.pools = pools),
    ),
    step("print", (host, { process, command, only, pools }) => {
      const shown = pools.filter(({ cpupoolId }) => only === null || cpupoolId === only);
      const rows = shown.map(({ name, cpus, schedId, nDom }) => ({
        name,
        cpus,
        scheduler: SCHEDULERS[schedId] ?? "unknown",
        domains: nDom,
      }));
      stdout(host, process, formatCpupoolList(rows, command.cpus));
    }),
  ],
);

/** `xl cpupool-destroy`. */
export const cpupoolDestroyVerb = verb(
  "cpupool-destroy",
  ({ process, command }) => ({ process, command, status: 0, poolid: -1 }),
  ({ call, attempt, step, failWith }) => [
    call(
      "pool",
      poolNamed,
      ({ process, command }) => ({ process, pool: command.pool }),
      (l, poolid) => void (l.poolid = poolid),
    ),
    attempt([
      call("libxl_cpupool_destroy", destroyCpupool, ({ process, poolid }) => ({ process, poolid })),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.cannotDestroyPool(l.command.pool))),
      failWith("not destroyed", ERROR_INVAL),
    ]),
  ],
);

/** `xl cpupool-rename`. */
export const cpupoolRenameVerb = verb(
  "cpupool-rename",
  ({ process, command }) => ({ process, command, status: 0, poolid: -1 }),
  ({ call, attempt, step, failWith }) => [
    call(
      "pool",
      poolNamed,
      ({ process, command }) => ({ process, pool: command.pool }),
      (l, poolid) => void (l.poolid = poolid),
    ),
    attempt([
      call("libxl_cpupool_rename", renameCpupool, ({ process, poolid, command }) => ({
        process,
        poolid,
        name: command.newName,
      })),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.cannotRenamePool(l.command.pool))),
      failWith("not renamed", ERROR_INVAL),
    ]),
  ],
);

interface CpuLocals extends VerbLocals {
  command: { pool: string; cpus: string };
  poolid: number;
  cpus: number[];
  cpu: number;
  failed: boolean;
}

const cpuLocals = ({ process, command }: { process: string; command: CpuLocals["command"] }): CpuLocals => ({
  process,
  command,
  status: 0,
  poolid: -1,
  cpus: [],
  cpu: -1,
  failed: false,
});

/** Does something with a pool and each of some processors; that it failed for one is said at the end. */
const forEachCpu =
  (
    change: (host: Host, process: string, poolid: number, cpu: number) => void | Failure,
    complaint: (pool: string) => string,
  ) =>
  ({ step, call, each, when }: Vocabulary<CpuLocals>): Node<CpuLocals>[] => [
    step("parse_cpurange", (host, l) => {
      const report = { source: "", stderr: "" };
      const bitmap = allocCpuBitmap(hostCpus(host));
      const understood = parseCpuRange(report, hostCpus(host), l.command.cpus, bitmap);
      stderr(host, l.process, report.stderr);
      l.cpus = cpuBitmapBits(bitmap);
      return understood ? undefined : fail("EINVAL");
    }),
    call(
      "pool",
      poolNamed,
      ({ process, command }) => ({ process, pool: command.pool }),
      (l, poolid) => void (l.poolid = poolid),
    ),
    each(
      "cpu",
      (l) => l.cpus,
      (l, cpu) => void (l.cpu = cpu),
      [
        step("cpupool_op", (host, l) => {
          if (isFailure(change(host, l.process, l.poolid, l.cpu))) l.failed = true;
        }),
      ],
    ),
    when("some failed", (l) => l.failed, [
      step("complain", (host, l) => stderr(host, l.process, complaint(l.command.pool))),
    ]),
  ];

/** `xl cpupool-cpu-add`. */
export const cpupoolCpuAddVerb = verb("cpupool-cpu-add", cpuLocals, forEachCpu(addCpu, say.someCpusNotAdded));
/** `xl cpupool-cpu-remove`. */
export const cpupoolCpuRemoveVerb = verb(
  "cpupool-cpu-remove",
  cpuLocals,
  forEachCpu(removeCpu, say.someCpusNotRemoved),
);

/** `xl cpupool-migrate`. */
export const cpupoolMigrateVerb = verb(
  "cpupool-migrate",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domid: -1,
    name: null as string | null,
    poolid: -1,
  }),
  ({ attempt, call, when, step, failWith }) => [
    attempt([
      call(
        "which",
        qualifierToDomid,
        ({ process, command }) => ({ process, domain: command.domain }),
        (l, domid) => {
          l.domid = domid;
        },
      ),
      call(
        "libxl_domid_to_name",
        domidToName,
        ({ process, domid }) => ({ process, domid }),
        (l, name) => void (l.name = name),
      ),
    ]).onError(() => {}, []),
    when("nobody's name", (l) => l.name === null, [
      step("complain", (host, l) => stderr(host, l.process, say.unknownDomain(l.command.domain))),
      failWith("no such domain", ERROR_INVAL),
    ]),
    call(
      "pool",
      poolNamed,
      ({ process, command }) => ({ process, pool: command.pool }),
      (l, poolid) => void (l.poolid = poolid),
    ),
    step("cpupool_op movedomain", (host, { process, poolid, domid }) =>
      moveDomain(host, process, poolid, domid),
    ),
  ],
);

/** Seconds dom0's kernel has to take vCPUs off line. */
const OFFLINE_SECONDS = 10;

/** Every free processor becomes Pool-0's: the machine has one node, and nothing is left for other pools. */
function addNode(host: Host, process: string): void | Failure {
  const free = freeCpus(host, process);
  if (isFailure(free)) return free;
  for (const cpu of free) addCpu(host, process, 0, cpu);
}

/** `xl cpupool-numa-split`. */
export const cpupoolNumaSplitVerb = verb(
  "cpupool-numa-split",
  ({ process }) => ({ process, status: 0, pools: 0, cpus: 0, online: 0, tries: 0 }),
  ({ call, step, when, repeatUntil, sleep, failWith }) => [
    call(
      "libxl_list_cpupool",
      listCpupools,
      ({ process }) => ({ process }),
      (l, pools) => void (l.pools = pools.length),
    ),
    step("only one pool yet", (host, l) => {
      if (l.pools === 1) return addNode(host, l.process);
      stderr(host, l.process, say.poolsInUse);
      return fail("EBUSY");
    }),
    call("libxl_cpupool_rename", renameCpupool, ({ process }) => ({
      process,
      poolid: 0,
      name: "Pool-node0",
    })),
    step("libxl_domain_info", (host, l) => {
      const info = domainInfo(host, l.process, 0);
      const topology = cputopoinfo(host, dom0(l.process));
      if (isFailure(info)) return info;
      if (isFailure(topology)) return topology;
      l.online = info.nrOnlineVcpus;
      l.cpus = topology.length;
      return;
    }),
    when("more vCPUs than processors", (l) => l.online > l.cpus, [
      call("libxl_set_vcpuonline", setVcpuOnline, ({ process, cpus }) => ({
        process,
        domid: 0,
        count: cpus,
      })),
      repeatUntil("off line", (l) => l.online <= l.cpus || l.tries === OFFLINE_SECONDS, [
        sleep("sleep", () => 1_000_000),
        step("look again", (host, l) => {
          const info = domainInfo(host, l.process, 0);
          if (isFailure(info)) return info;
          l.online = info.nrOnlineVcpus;
          l.tries++;
          return;
        }),
      ]),
      when("still on line", (l) => l.online > l.cpus, [
        step("complain", (host, l) => stderr(host, l.process, say.vcpusStayOnline)),
        failWith("vCPUs stay", "ETIMEDOUT"),
      ]),
    ]),
  ],
);
