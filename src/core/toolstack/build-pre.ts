// SPDX-License-Identifier: Apache-2.0
//
// What a domain needs before it has memory: vCPUs and where they may run, a
// limit, the two event channels of its store and console, a CPU policy
// (tools/libs/light/libxl_dom.c, libxl__build_pre).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { maxMem, maxVcpus } from "../hypervisor/domctl.ts";
import { setCpuPolicy } from "../hypervisor/cpu-policy-op.ts";
import { setnodeaffinity, settscinfo, setvcpuaffinity } from "../hypervisor/domain-settings.ts";
import type { TscInfo } from "../hypervisor/domain-settings.ts";
import { numainfo, physinfo } from "../hypervisor/sysctl.ts";
import { allocUnbound } from "../hypervisor/event-channel-op.ts";
import { setMemoryMap } from "../hypervisor/memory-op.ts";
import { maxmemOf } from "./build-config.ts";
import type { BuildConfig } from "./build-config.ts";
import { cpupoolInfoNamed } from "./cpupool.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, reported } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { xsRead } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** The ports of a new domain, unbound: whoever serves its store and its console will bind them. */
export type Ports = { storePort: number; consolePort: number };

function setAffinities(host: Host, process: string, domid: number, build: BuildConfig): void | Failure {
  const caller = dom0(process);
  for (let vcpu = 0; vcpu < build.maxVcpus; vcpu++) {
    const hard = build.hardAffinity[vcpu];
    const soft = build.softAffinity[vcpu];
    if (hard === undefined && soft === undefined) continue;
    const set = setvcpuaffinity(host, caller, {
      domid,
      vcpu,
      hard: hard === undefined ? null : [...hard],
      soft: soft === undefined ? null : [...soft],
    });
    if (!isFailure(set)) continue;
    libxlError(
      host,
      process,
      "libxl_dom.c:350:libxl__build_pre",
      `setting affinity failed on vcpu \`${vcpu}'`,
    );
    return fail(ERROR_FAIL);
  }
}

const first = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Places a domain on nodes, and its vCPUs near them: on a machine with one node anywhere (numa_place_domain). */
const numaPlace = routine(
  "numa_place_domain",
  (a: { process: string; domid: number; poolid: number; vcpus: number }) => ({
    ...a,
    vcpu: 0,
    cpus: [] as number[],
    nodes: [] as number[],
  }),
  ({ call, step, each }) => [
    call("libxl_cpupool_info", cpupoolInfoNamed, ({ process, poolid }) => ({ process, poolid })),
    step("numainfo, cputopoinfo", (host, l) => {
      const machine = physinfo(host, dom0(l.process));
      const numa = numainfo(host, dom0(l.process));
      if (isFailure(machine) || isFailure(numa)) return fail(ERROR_FAIL);
      l.cpus = first(machine.nrCpus);
      l.nodes = first(numa.meminfo.length);
      return;
    }),
    each(
      "vcpu",
      (l) => first(l.vcpus),
      (l, vcpu) => void (l.vcpu = vcpu),
      [
        step("setvcpuaffinity", (host, l) => {
          const { domid, vcpu, cpus } = l;
          const set = setvcpuaffinity(host, dom0(l.process), { domid, vcpu, hard: null, soft: cpus });
          return isFailure(set) ? set : undefined;
        }),
      ],
    ),
    step("setnodeaffinity", (host, { process, domid, nodes }) => {
      const set = setnodeaffinity(host, dom0(process), { domid, nodes });
      return isFailure(set) ? set : undefined;
    }),
  ],
);

/** Xen decides how the time stamp counter behaves, and at which rate. */
export const TSC_DEFAULT: TscInfo = { mode: 0, khz: 0, elapsedNs: 0n, incarnation: 0 };

/** A port of the new domain's for whoever serves it. */
function unboundPort(host: Host, process: string, domid: number, remoteDomid: number): number | Failure {
  const bound = allocUnbound(host, dom0(process), { domid, remoteDomid });
  return isFailure(bound) ? bound : bound.port;
}

/** The CPU features the domain will see (libxl__cpuid_legacy). A restored domain brings its own. */
const cpuid = routine(
  "libxl__cpuid_legacy",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ step }) => [
    step("set_cpu_policy", (host, l) => {
      const set = setCpuPolicy(host, dom0(l.process), { domid: l.domid });
      if (!isFailure(set)) return undefined;
      return reported(
        host,
        l.process,
        "libxl_cpuid.c:525:libxl__cpuid_legacy",
        "Failed to apply CPUID policy",
        set,
        l.domid,
      );
    }),
  ],
);

/** Prepares an empty domain for its memory; its two ports. */
export const buildPre = routine(
  "libxl__build_pre",
  (a: { process: string; domid: number; build: BuildConfig; restore: boolean }) => ({
    ...a,
    storeDomid: 0,
    consoleDomid: 0,
    storePort: -1,
    consolePort: -1,
  }),
  ({ step, when, call }) => [
    step("max_vcpus", (host, l) => {
      const made = maxVcpus(host, dom0(l.process), { domid: l.domid, max: l.build.maxVcpus });
      if (!isFailure(made)) return undefined;
      libxlError(host, l.process, "libxl_dom.c:253:libxl__build_pre", "Couldn't set max vcpu count");
      return fail(ERROR_FAIL);
    }),
    when("placed by Xen", (l) => l.build.numaPlacement, [
      call("numa_place_domain", numaPlace, ({ process, domid, build }) => ({
        process,
        domid,
        poolid: build.poolid,
        vcpus: build.maxVcpus,
      })),
    ]),
    step("affinities", (host, l) => setAffinities(host, l.process, l.domid, l.build)),
    step("max_mem", (host, l) => {
      const set = maxMem(host, dom0(l.process), { domid: l.domid, maxMemkb: maxmemOf(l.build) });
      if (!isFailure(set)) return undefined;
      return reported(host, l.process, "libxl_dom.c:364:libxl__build_pre", "Couldn't set max memory", set);
    }),
    call(
      "xenstored's domain",
      xsRead,
      ({ process }) => ({ process, path: "/tool/xenstored/domid" }),
      (l, domid) => {
        l.storeDomid = Number(domid ?? 0);
      },
    ),
    call(
      "xenconsoled's domain",
      xsRead,
      ({ process }) => ({ process, path: "/tool/xenconsoled/domid" }),
      (l, domid) => {
        l.consoleDomid = Number(domid ?? 0);
      },
    ),
    // libxl does not look whether these two succeed: a port of -1 goes wherever the ports go.
    step("alloc_unbound store", (host, l) => {
      const port = unboundPort(host, l.process, l.domid, l.storeDomid);
      l.storePort = isFailure(port) ? -1 : port;
    }),
    step("alloc_unbound console", (host, l) => {
      const port = unboundPort(host, l.process, l.domid, l.consoleDomid);
      l.consolePort = isFailure(port) ? -1 : port;
    }),
    when("pv", (l) => l.build.type === "pv", [
      step("set_memory_map", (host, l) => {
        const set = setMemoryMap(host, dom0(l.process), { domid: l.domid, entries: 1 });
        return isFailure(set) ? fail(ERROR_FAIL) : undefined;
      }),
    ]),
    step("settscinfo", (host, l) => {
      const set = settscinfo(host, dom0(l.process), { domid: l.domid, tsc: TSC_DEFAULT });
      return isFailure(set) ? fail(ERROR_FAIL) : undefined;
    }),
    when("a new domain", (l) => !l.restore, [call("CPU policy", cpuid, sameDomain)]),
  ],
  ({ storePort, consolePort }): Ports => ({ storePort, consolePort }),
);
