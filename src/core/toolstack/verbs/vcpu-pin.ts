// SPDX-License-Identifier: Apache-2.0
//
// vcpu-pin (tools/xl/xl_vcpu.c, main_vcpupin).

import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { DOMINF_hvm_guest } from "../../hypervisor/dominfo.ts";
import { domainInfo } from "../dominfo.ts";
import { libxlWarning } from "../log.ts";
import { findNamed } from "../name.ts";
import { ERROR_FAIL } from "../rc.ts";
import { setVcpuAffinity } from "../vcpu-affinity.ts";
import type { Affinities } from "../vcpu-affinity.ts";
import { listVcpus } from "../vcpu.ts";
import { verb } from "../verb.ts";
import { hostCpus, xlConf } from "../xl-config.ts";
import { formatBitmap } from "../xl/format/printf.ts";
import * as say from "../xl/messages.ts";
import { emptyAffinityMessage, maskAffinity } from "../xlcfg/affinity-masks.ts";
import { allocCpuBitmap, cpuBitmapBits, parseCpuRange } from "../xlcfg/cpu-range.ts";
import { strtol } from "../xlcfg/strtol.ts";
import { sameDomain } from "../same.ts";

const SET_ALL = "libxl_sched.c:124:libxl_set_vcpuaffinity_all";

/** Which vCPU is meant, or "all"; null, said so, where it is neither, or where all of them cannot be forced. */
function parseVcpu(host: Host, process: string, text: string, force: boolean): number | "all" | null {
  const { value, end } = strtol(text, 10);
  if (end > 0 && value >= 0n) return Number(value);
  if (text === "all" && !force) return "all";
  stderr(host, process, text === "all" ? say.forceAllVcpus : say.invalidVcpu(text));
  return null;
}

/** A set of processors; null for "-", which leaves them as they are. */
function parseCpus(host: Host, process: string, text: string | null): number[] | null | Failure {
  if (text === null || text === "-") return null;
  const report = { source: "command line", stderr: "" };
  const cpus = hostCpus(host);
  const bitmap = allocCpuBitmap(cpus);
  if (parseCpuRange(report, cpus, text, bitmap)) return cpuBitmapBits(bitmap);
  stderr(host, process, report.stderr);
  return fail("EINVAL");
}

/** Leaves of the processors those that xl.conf lets the domain have. */
function applyMasks(host: Host, process: string, domid: number, hard: number[]): number[] | Failure {
  const info = domainInfo(host, process, domid);
  if (isFailure(info)) {
    stderr(host, process, say.noDomainInfo);
    return info;
  }
  const type = (info.flags & DOMINF_hvm_guest) === 0 ? "pv" : "hvm";
  const masked = maskAffinity(xlConf(host), type, hard);
  if (masked.length > 0) return masked;
  stderr(host, process, emptyAffinityMessage);
  return fail("EINVAL");
}

export const vcpuPinVerb = verb(
  "vcpu-pin",
  ({ process, command, global }) => ({
    process,
    command,
    dryRun: global.dryRun,
    status: 0,
    domid: -1,
    vcpu: 0,
    all: false,
    failed: false,
    vcpus: [] as number[],
    affinities: { hard: null, soft: null } as Affinities,
  }),
  ({ call, step, when, each, attempt, failWith }) => [
    findNamed(call),
    step("parse_cpurange", (host, l) => {
      const { process, command } = l;
      const vcpu = parseVcpu(host, process, command.vcpu, command.force);
      if (vcpu === null) return fail("EINVAL");
      if (vcpu === "all") l.all = true;
      else l.vcpu = vcpu;
      const hard = parseCpus(host, process, command.hard);
      if (isFailure(hard)) return hard;
      const soft = parseCpus(host, process, command.soft);
      if (isFailure(soft)) return soft;
      l.affinities = { hard, soft };
      return;
    }),
    when(
      "dry run",
      (l) => l.dryRun,
      [
        step("print", (host, { process, affinities: { hard, soft } }) => {
          const { maxCpus } = hostCpus(host);
          const shown = hard === null ? "-" : formatBitmap(hard, maxCpus);
          stdout(
            host,
            process,
            `cpumap: ${shown}${soft === null ? "" : ` ${formatBitmap(soft, maxCpus)}`}\n`,
          );
        }),
      ],
      [
        step("apply_global_affinity_masks", (host, l) => {
          const { hard, soft } = l.affinities;
          if (hard === null || l.command.ignoreGlobalAffinityMasks) return undefined;
          const masked = applyMasks(host, l.process, l.domid, hard);
          if (isFailure(masked)) return masked;
          l.affinities = { hard: masked, soft };
          return;
        }),
        when(
          "all vCPUs",
          (l) => l.all,
          [
            attempt([
              call("libxl_list_vcpu", listVcpus, sameDomain, (l, vcpus) => {
                l.vcpus = vcpus.map(({ vcpuid }) => vcpuid);
              }),
            ]).onError(() => {}, [
              step("complain", (host, l) => stderr(host, l.process, say.libxlCallFailed("libxl_list_vcpu"))),
              failWith("no vCPUs", ERROR_FAIL),
            ]),
            each(
              "vCPU",
              (l) => l.vcpus,
              (l, vcpu) => void (l.vcpu = vcpu),
              [
                step("libxl_set_vcpuaffinity_all", (host, l) => {
                  const { process, domid, vcpu, affinities } = l;
                  if (!isFailure(setVcpuAffinity(host, process, domid, vcpu, affinities))) return;
                  libxlWarning(host, process, SET_ALL, `Failed to set affinity for ${vcpu}`, domid);
                  l.failed = true;
                }),
              ],
            ),
            // That some failed is said, and does not change the exit status.
            when("some failed", (l) => l.failed, [
              step("say so", (host, l) => stderr(host, l.process, say.cannotSetAffinity)),
            ]),
          ],
          [
            step("libxl_set_vcpuaffinity", (host, { process, domid, vcpu, affinities }) => {
              const set = setVcpuAffinity(host, process, domid, vcpu, affinities);
              if (isFailure(set)) stderr(host, process, say.cannotSetVcpuAffinity(vcpu));
              return set;
            }),
          ],
        ),
      ],
    ),
  ],
);
