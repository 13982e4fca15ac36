// SPDX-License-Identifier: Apache-2.0
//
// Domains as xl's tables show them: what Xen says of each, and its name.

import { present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { DomainInfo } from "./dominfo.ts";
import { domidToName } from "./name.ts";
import type { DomainRow } from "./xl/format/list.ts";

const KIB_PER_PAGE = 4;

function rowOf(info: DomainInfo, name: string | null): DomainRow {
  const { domid, uuid, nrOnlineVcpus, running, blocked, paused, shutdown, dying, shutdownCode, cpuTime } =
    info;
  return {
    name,
    domid,
    uuid,
    currentMemkb: info.totPages * KIB_PER_PAGE,
    outstandingMemkb: info.outstandingPages * KIB_PER_PAGE,
    sharedMemkb: 0,
    vcpuOnline: nrOnlineVcpus,
    running,
    blocked,
    paused,
    shutdown,
    dying,
    shutdownReason: shutdownCode,
    cpuTimeNs: cpuTime,
    securityLabel: null,
  };
}

/** The rows of domains, in the order given; each one's name is read on the way. */
export const domainRows = routine(
  "list_domains",
  (a: { process: string; domains: readonly DomainInfo[] }) => ({
    ...a,
    info: null as DomainInfo | null,
    rows: [] as DomainRow[],
  }),
  ({ each, call }) => [
    each(
      "domain",
      (l) => l.domains,
      (l, info) => void (l.info = info),
      [
        call(
          "libxl_domid_to_name",
          domidToName,
          ({ process, info }) => ({ process, domid: present(info).domid }),
          (l, name) => void l.rows.push(rowOf(present(l.info), name)),
        ),
      ],
    ),
  ],
  (l) => l.rows,
);
