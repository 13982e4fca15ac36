// SPDX-License-Identifier: Apache-2.0
//
// What a domain needs once its memory is there: scheduling parameters, the nodes
// its kernel reads first, and xenstored's acquaintance
// (tools/libs/light/libxl_dom.c, libxl__build_post).

import type { Failure } from "../engine/errno.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { getSchedulerParams, putSchedulerParams } from "../hypervisor/domain-settings.ts";
import { targetNode } from "./build-config.ts";
import type { BuildConfig } from "./build-config.ts";
import type { Ports } from "./build-pre.ts";
import type { Entries } from "./device-entries.ts";
import { cpupoolInfoNamed } from "./cpupool.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import { transaction } from "./transaction.ts";
import { writevRequests, xsGetDomainPath, xsIntroduceDomain, xsRead, xsScript } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Where a built domain's rings are: machine frames of a PV guest, guest frames of others. */
export type Rings = Ports & { storeMfn: number; consoleMfn: number };

function domainEntries(domid: number, build: BuildConfig, rings: Rings): Entries {
  const vcpus = Array.from({ length: build.maxVcpus }, (_, vcpu) => vcpu);
  return [
    ["memory/static-max", String(build.maxMemkb)],
    ["memory/target", String(targetNode(build))],
    ["memory/videoram", String(build.videoMemkb)],
    ["domid", String(domid)],
    ["store/port", String(rings.storePort)],
    ["store/ring-ref", String(rings.storeMfn)],
    ...vcpus.map(
      (vcpu) => [`cpu/${vcpu}/availability`, build.availVcpus.includes(vcpu) ? "online" : "offline"] as const,
    ),
  ];
}

/** Weight and cap under credit2; what the configuration leaves open stays as Xen has it. */
function setSched(host: Host, process: string, domid: number, build: BuildConfig): void | Failure {
  const caller = dom0(process);
  const now = getSchedulerParams(host, caller, { domid });
  const current = isFailure(now) ? { weight: 256, cap: 0 } : now;
  const set = putSchedulerParams(host, caller, {
    domid,
    weight: build.weight < 0 ? current.weight : build.weight,
    cap: build.cap < 0 ? current.cap : build.cap,
  });
  if (isFailure(set))
    return reported(
      host,
      process,
      "libxl_sched.c:465:sched_credit2_domain_set",
      "Setting domain sched credit2",
      set,
      domid,
    );
}

/**
 * Finishes a built domain and introduces it to xenstored.
 *
 * @param vm entries for its virtual machine's directory: what it was built from
 */
export const buildPost = routine(
  "libxl__build_post",
  (a: { process: string; domid: number; build: BuildConfig; rings: Rings; vm: Entries }) => ({
    ...a,
    home: "",
    vmPath: null as string | null,
    t: 0,
  }),
  (words) => {
    const { call, step, when } = words;
    return [
      when("ask for the scheduler", (l) => !l.build.schedulerKnown, [
        call("libxl_cpupool_info", cpupoolInfoNamed, ({ process, build }) => ({
          process,
          poolid: build.poolid,
        })),
      ]),
      step("scheduler_op", (host, l) => setSched(host, l.process, l.domid, l.build)),
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
        l.home = home;
      }),
      call(
        "vm path",
        xsRead,
        ({ process, home }) => ({ process, path: `${home}/vm` }),
        (l, path) => void (l.vmPath = path),
      ),
      transaction(words, [
        call("entries", xsScript, ({ process, t, domid, build, rings, home, vmPath, vm }) => ({
          process,
          t,
          requests: [
            ...writevRequests(home, domainEntries(domid, build, rings)),
            ...writevRequests(vmPath ?? "", vm),
          ],
        })),
      ]),
      call("xs_introduce_domain", xsIntroduceDomain, ({ process, domid, rings }) => ({
        process,
        domid,
        mfn: rings.storeMfn,
        port: rings.storePort,
      })),
    ];
  },
);
