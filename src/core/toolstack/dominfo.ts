// SPDX-License-Identifier: Apache-2.0
//
// What libxl asks about domains that exist (tools/libs/light/libxl_domain.c).

import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { DOMINF_hvm_guest } from "../hypervisor/dominfo.ts";
import type { DomainInfoReply } from "../hypervisor/dominfo.ts";
import { getdomaininfolist } from "../hypervisor/sysctl.ts";
import { dom0 } from "./libxl-ctx.ts";
import { libxlError, libxlWarning } from "./log.ts";
import { ERROR_DOMAIN_NOTFOUND, ERROR_FAIL } from "./rc.ts";
import { missingNode, xsGetDomainPath, xsRead } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** One hypercall's worth of domains. */
const LIST_BATCH = 1024;

/** What libxl knows of a domain; its UUID with dashes, as everybody writes it. */
export type DomainInfo = { [K in keyof DomainInfoReply]: DomainInfoReply[K] } & { uuid: string };

/** 32 hexadecimal digits as a UUID. */
export function uuidOf(handle: string): string {
  return handle.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function infoList(
  host: Host,
  process: string,
  firstDomain: number,
  maxDomains: number,
): DomainInfo[] | Failure {
  const infos = getdomaininfolist(host, dom0(process), { firstDomain, maxDomains });
  return isFailure(infos) ? infos : infos.map((info) => ({ ...info, uuid: uuidOf(info.handle) }));
}

/** One domain's info (libxl_domain_info). ERROR_DOMAIN_NOTFOUND where there is none of that domid. */
export function domainInfo(host: Host, process: string, domid: number): DomainInfo | Failure {
  const infos = infoList(host, process, domid, 1);
  if (isFailure(infos)) return fail(ERROR_FAIL);
  const [info] = infos;
  return info?.domid === domid ? info : fail(ERROR_DOMAIN_NOTFOUND);
}

/** Every domain, in the order of their domids (libxl_list_domain). */
export const listDomains = routine(
  "libxl_list_domain",
  (a: { process: string }) => ({ ...a, domains: [] as DomainInfo[], done: false }),
  ({ repeatUntil, step }) => [
    repeatUntil("no more domains", (l) => l.done, [
      step("getdomaininfolist", (host, l) => {
        const firstDomain = (l.domains.at(-1)?.domid ?? -1) + 1;
        const infos = infoList(host, l.process, firstDomain, LIST_BATCH);
        if (isFailure(infos)) return infos;
        l.domains.push(...infos);
        l.done = infos.length === 0;
        return;
      }),
    ]),
  ],
  (l) => l.domains,
);

/** What kind of guest a domain is. */
export type GuestType = "hvm" | "pv" | "pvh";

/** A domain's type (libxl__domain_type). Fails, and says so, where there is no such domain. */
export const domainType = routine(
  "libxl__domain_type",
  (a: { process: string; domid: number }) => ({ ...a, hvm: false, unknown: false, type: "pv" as GuestType }),
  ({ step, when, call }) => [
    step("getdomaininfolist", (host, l) => {
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) {
        libxlError(
          host,
          l.process,
          "libxl_dom.c:37:libxl__domain_type",
          `unable to get domain type for domid=${l.domid}`,
        );
        return fail(ERROR_FAIL);
      }
      l.hvm = (info.flags & DOMINF_hvm_guest) !== 0;
      return;
    }),
    when("hvm or pvh", (l) => l.hvm, [
      call(
        "read type",
        xsRead,
        (l) => ({ process: l.process, path: `/libxl/${l.domid}/type` }),
        (l, type) => {
          l.unknown = type === null;
          l.type = type === "pvh" ? "pvh" : "hvm";
        },
      ),
      step("type unknown", (host, l) => {
        if (!l.unknown) return;
        missingNode(host, l.process, `/libxl/${l.domid}/type`);
        const text = `unable to get domain type for domid=${l.domid}, assuming HVM`;
        libxlWarning(host, l.process, "libxl_dom.c:49:libxl__domain_type", text);
      }),
    ]),
  ],
  (l) => l.type,
);

/** The stub domain that serves a domain (libxl_get_stubdom_id), or 0. */
export const stubdomId = routine(
  "libxl_get_stubdom_id",
  (a: { process: string; domid: number }) => ({ ...a, home: "", stubdom: null as string | null }),
  ({ call }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "device-model-domid",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/image/device-model-domid` }),
      (l, domid) => {
        l.stubdom = domid;
      },
    ),
  ],
  (l) => Number(l.stubdom ?? 0),
);
