// SPDX-License-Identifier: Apache-2.0
//
// cpupool-create (tools/xl/xl_cpupool.c, main_cpupoolcreate).

import { fail, isFailure, present } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { bytesText } from "../../daemons/files.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { cputopoinfo, schedId as bootScheduler } from "../../hypervisor/sysctl.ts";
import { createCpupool } from "../cpupool-change.ts";
import { freeCpus, nameToCpupoolid } from "../cpupool.ts";
import { dom0 } from "../libxl-ctx.ts";
import { SCHEDULERS } from "../physinfo.ts";
import { randomUuid } from "../urandom.ts";
import { verb } from "../verb.ts";
import { hostCpus, readConfigFile } from "../xl-config.ts";
import * as say from "../xl/messages.ts";
import { allocCpuBitmap, cpuBitmapBits, parseCpuRange } from "../xlcfg/cpu-range.ts";
import { parseConfig } from "../xlcfg/parser.ts";
import { createReader, getList, getString, leadingStrings } from "../xlcfg/reader.ts";
import { atoi } from "../xlcfg/strtol.ts";

/** A pool as its configuration describes it; which processors are meant depends on those that are free. */
type PoolConfig = {
  source: string;
  name: string;
  sched: string | null;
  nodes: string[] | null;
  cpuList: string[] | null;
  cpuRange: string | null;
};

/** Reads the file, if there is one, and what the command line adds. Fails, and says so. */
function readPoolConfig(
  host: Host,
  process: string,
  file: string | null,
  extra: string,
): PoolConfig | Failure {
  const bytes = file === null ? new Uint8Array(0) : readConfigFile(host, process, file);
  if (isFailure(bytes)) return bytes;
  const source = file ?? "command line";
  const parsed = parseConfig(source, bytesText(bytes) + (extra === "" ? "" : `\n${extra}`));
  if (!parsed.ok) {
    stderr(host, process, `${parsed.stderr}${say.cannotParsePool}`);
    return fail("EINVAL");
  }
  const reader = createReader(parsed.config);
  const name = getString(reader, "name") ?? file?.split("/").at(-1) ?? null;
  const sched = getString(reader, "sched");
  const nodes = getList(reader, "nodes");
  const cpus = nodes === null ? getList(reader, "cpus", true) : null;
  const cpuRange = nodes === null && cpus === null ? getString(reader, "cpus") : null;
  stderr(host, process, reader.stderr);
  if (name === null) {
    stderr(host, process, say.missingPoolName);
    return fail("EINVAL");
  }
  return {
    source,
    name,
    sched,
    nodes: nodes === null ? null : leadingStrings(nodes),
    cpuList: cpus === null ? null : leadingStrings(cpus),
    cpuRange,
  };
}

/** The number of the scheduler a pool is to have: Xen's own where none was named. */
function schedulerOf(host: Host, process: string, name: string | null): number | Failure {
  if (name === null) return bootScheduler(host, dom0(process));
  const found = Object.entries(SCHEDULERS).find(([, known]) => known === name.toLowerCase());
  if (found !== undefined) return Number(found[0]);
  stderr(host, process, say.unknownScheduler);
  return fail("EINVAL");
}

/** The processors a pool is to have. Fails, and says so, where one is not free. */
function wantedCpus(
  host: Host,
  process: string,
  { nodes, cpuList, cpuRange }: PoolConfig,
): number[] | Failure {
  const free = freeCpus(host, process);
  const topology = cputopoinfo(host, dom0(process));
  if (isFailure(free)) return free;
  if (isFailure(topology)) return topology;
  if (nodes !== null) {
    const wanted = nodes.flatMap((node) => free.filter((cpu) => topology[cpu]?.node === atoi(node)));
    if (wanted.length > 0) return wanted;
    stderr(host, process, say.noFreeCpu);
    return fail("ENODEV");
  }
  let wanted = (cpuList ?? []).map(atoi);
  if (cpuRange !== null) {
    const report = { source: "", stderr: "" };
    const bitmap = allocCpuBitmap(hostCpus(host));
    if (!parseCpuRange(report, hostCpus(host), cpuRange, bitmap)) {
      stderr(host, process, report.stderr);
      return fail("EINVAL");
    }
    wanted = cpuBitmapBits(bitmap);
  }
  const taken = wanted.find((cpu) => !free.includes(cpu));
  if (taken === undefined) return wanted;
  stderr(host, process, say.cpuNotFree(taken));
  return fail("ENODEV");
}

/** `xl cpupool-create`. */
export const cpupoolCreateVerb = verb(
  "cpupool-create",
  ({ process, command, global }) => ({
    process,
    command,
    dryRun: global.dryRun,
    status: 1,
    config: null as PoolConfig | null,
    taken: false,
    schedId: -1,
    cpus: [] as number[],
    uuid: "",
  }),
  ({ attempt, step, call, when, failWith }) => [
    attempt([
      step("xlu_cfg_readdata", (host, l) => {
        const config = readPoolConfig(host, l.process, l.command.configFile, l.command.extraConfig);
        if (isFailure(config)) return config;
        l.config = config;
        return;
      }),
      attempt([
        call("libxl_name_to_cpupoolid", nameToCpupoolid, ({ process, config }) => ({
          process,
          name: present(config).name,
        })),
        step("taken", (host, l) => {
          stderr(host, l.process, say.poolNameTaken(present(l.config).name));
          l.taken = true;
        }),
      ]).onError(() => {}, []),
      when("name is taken", (l) => l.taken, [failWith("another pool has the name", "EEXIST")]),
      step("describe", (host, l) => {
        const { process, config } = l;
        const { source, name, sched } = present(config);
        const schedId = schedulerOf(host, process, sched);
        if (isFailure(schedId)) return schedId;
        // xl keeps the scheduler's number where its exit status is to be.
        if (sched === null) l.status = schedId;
        const cpus = wantedCpus(host, process, present(config));
        if (isFailure(cpus)) return cpus;
        Object.assign(l, { schedId, cpus, uuid: randomUuid(host) });
        return stdout(
          host,
          process,
          say.newPool(source, name, SCHEDULERS[schedId] ?? "unknown", cpus.length),
        );
      }),
      when("not only a dry run", (l) => !l.dryRun, [
        attempt([
          call("libxl_cpupool_create", createCpupool, ({ process, config, schedId, cpus, uuid }) => ({
            process,
            name: present(config).name,
            schedId,
            cpus,
            uuid,
          })),
        ]).onError(() => {}, [
          step("complain", (host, l) => stderr(host, l.process, say.cannotCreatePool)),
          failWith("not created", "EIO"),
        ]),
      ]),
      step("done", (_host, l) => void (l.status = 0)),
    ]).onError(() => {}, []),
  ],
);
