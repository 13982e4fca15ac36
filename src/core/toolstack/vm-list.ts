// SPDX-License-Identifier: Apache-2.0
//
// Virtual machines: domains that serve no other (tools/libs/light/libxl_domain.c,
// libxl_list_vm), and since when each runs.

import { fail, present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { listDomains } from "./dominfo.ts";
import type { DomainInfo } from "./dominfo.ts";
import { libxlError } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { xsGetDomainPath, xsRead } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** Every domain that is not another one's stub domain (libxl_is_stubdom). */
export const vmList = routine(
  "libxl_list_vm",
  (a: { process: string }) => ({
    ...a,
    domains: [] as DomainInfo[],
    info: null as DomainInfo | null,
    home: "",
    vms: [] as DomainInfo[],
  }),
  ({ call, each }) => [
    call("libxl_list_domain", listDomains, sameProcess, (l, domains) => void (l.domains = domains)),
    each(
      "domain",
      (l) => l.domains,
      (l, info) => void (l.info = info),
      [
        call(
          "libxl__xs_get_dompath",
          xsGetDomainPath,
          ({ process, info }) => ({ process, domid: present(info).domid }),
          (l, home) => void (l.home = home),
        ),
        call(
          "target",
          xsRead,
          ({ process, home }) => ({ process, path: `${home}/target` }),
          (l, target) => {
            if (target === null) l.vms.push(present(l.info));
          },
        ),
      ],
    ),
  ],
  (l) => l.vms,
);

/** When a domain was started, in seconds of 1970. Fails, and says so, where nobody wrote it down. */
export const vmStartTime = routine(
  "libxl_vm_get_start_time",
  (a: { process: string; domid: number }) => ({
    ...a,
    home: "",
    vm: null as string | null,
    started: null as string | null,
  }),
  ({ call, step }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "vm",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/vm` }),
      (l, vm) => void (l.vm = vm),
    ),
    call(
      "start_time",
      xsRead,
      ({ process, vm }) => ({ process, path: `${vm ?? "(null)"}/start_time` }),
      (l, started) => {
        l.started = started;
      },
    ),
    step("was written", (host, l) => {
      if (l.started !== null) return undefined;
      libxlError(
        host,
        l.process,
        "libxl_domain.c:2231:libxl_vm_get_start_time",
        "Can't get start time of domain",
        l.domid,
      );
      return fail(ERROR_FAIL);
    }),
  ],
  (l) => Number.parseInt(l.started ?? "0", 10),
);
