// SPDX-License-Identifier: Apache-2.0
//
// Tables of domains: list, claims, sharing, vm-list (tools/xl/xl_info.c, xl_mem.c).

import { isFailure, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { cpupoolidToName } from "../cpupool.ts";
import { domainRows } from "../domain-rows.ts";
import { domainInfo, listDomains } from "../dominfo.ts";
import type { DomainInfo } from "../dominfo.ts";
import { findDomain } from "../name.ts";
import { retrieveDomainConfig, takeRetrieved } from "../retrieve-config.ts";
import { vmList } from "../vm-list.ts";
import { verb } from "../verb.ts";
import { xlConf } from "../xl-config.ts";
import { formatDomainDetails, formatDomainList, formatSharing, formatVmList } from "../xl/format/list.ts";
import type { DomainRow } from "../xl/format/list.ts";
import * as say from "../xl/messages.ts";
import type { DomainConfig } from "../xlcfg/domain-config.ts";
import { sameDomain, sameProcess } from "../same.ts";

/** All domains, or the one that was named. Fails, and says so, where there is no such domain. */
const wantedDomains = routine(
  "libxl_domain_info",
  (a: { process: string; domain: string | null }) => ({ ...a, domid: -1, domains: [] as DomainInfo[] }),
  ({ when, call, step }) => [
    when(
      "all",
      (l) => l.domain === null,
      [call("libxl_list_domain", listDomains, sameProcess, (l, domains) => void (l.domains = domains))],
      [
        call(
          "find_domain",
          findDomain,
          ({ process, domain }) => ({ process, domain: domain as string }),
          (l, { domid }) => {
            l.domid = domid;
          },
        ),
        step("getdomaininfolist", (host, l) => {
          const info = domainInfo(host, l.process, l.domid);
          if (!isFailure(info)) return void (l.domains = [info]);
          stderr(host, l.process, say.domainDoesNotExist(l.domain as string));
          return info;
        }),
      ],
    ),
  ],
  (l) => l.domains,
);

/** `xl list -l`: every domain's configuration, as far as there is one. */
const listDetails = routine(
  "list_domains_details",
  (a: { process: string; domains: readonly DomainInfo[] }) => ({
    ...a,
    domid: -1,
    details: [] as { domid: number; config: DomainConfig }[],
  }),
  ({ each, attempt, call, step }) => [
    each(
      "domain",
      (l) => l.domains,
      (l, { domid }) => void (l.domid = domid),
      [
        attempt([
          call("retrieve", retrieveDomainConfig, sameDomain),
          step(
            "one",
            (host, l) => void l.details.push({ domid: l.domid, config: takeRetrieved(host, l.process) }),
          ),
        ]).onError(() => {}, []),
      ],
    ),
    step("print details", (host, l) => stdout(host, l.process, formatDomainDetails(l.details))),
  ],
);

export const listVerb = verb(
  "list",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domains: [] as DomainInfo[],
    rows: [] as DomainRow[],
    domain: null as DomainInfo | null,
    pools: [] as (string | null)[],
  }),
  ({ call, when, step, each }) => [
    call(
      "which",
      wantedDomains,
      ({ process, command }) => ({ process, domain: command.domain }),
      (l, domains) => {
        l.domains = domains;
      },
    ),
    when(
      "long",
      (l) => l.command.long,
      [call("list_domains_details", listDetails, ({ process, domains }) => ({ process, domains }))],
      [
        each(
          "domain",
          (l) => l.domains,
          (l, domain) => void (l.domain = domain),
          [
            call(
              "list_domains",
              domainRows,
              ({ process, domain }) => ({ process, domains: [present(domain)] }),
              (l, rows) => void l.rows.push(...rows),
            ),
            when("with pools", (l) => l.command.cpupool, [
              call(
                "libxl_cpupoolid_to_name",
                cpupoolidToName,
                ({ process, domain }) => ({ process, poolid: present(domain).cpupool }),
                (l, name) => void l.pools.push(name),
              ),
            ]),
          ],
        ),
        step("print", (host, { process, command, rows, pools, domains }) => {
          const { verbose, context, cpupool, numa } = command;
          const poolOf = (domid: number): string | null =>
            pools[domains.findIndex((info) => info.domid === domid)] ?? null;
          stdout(
            host,
            process,
            formatDomainList(rows, {
              verbose,
              context,
              ...(cpupool ? { cpupoolOf: poolOf } : {}),
              ...(numa ? { nodesOf: () => [0], nodeCount: 1 } : {}),
            }),
          );
        }),
      ],
    ),
  ],
);

export const claimsVerb = verb(
  "claims",
  ({ process }) => ({ process, status: 0, domains: [] as DomainInfo[], rows: [] as DomainRow[] }),
  ({ call, step }) => [
    step("claim_mode", (host, l) => {
      if (!xlConf(host).claimMode) stderr(host, l.process, say.claimModeOff);
    }),
    call("libxl_list_domain", listDomains, sameProcess, (l, domains) => void (l.domains = domains)),
    call(
      "list_domains",
      domainRows,
      ({ process, domains }) => ({ process, domains }),
      (l, rows) => void (l.rows = rows),
    ),
    step("print", (host, l) => stdout(host, l.process, formatDomainList(l.rows, { claim: true }))),
  ],
);

export const sharingVerb = verb(
  "sharing",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domains: [] as DomainInfo[],
    rows: [] as DomainRow[],
  }),
  ({ call, step }) => [
    call(
      "which",
      wantedDomains,
      ({ process, command }) => ({ process, domain: command.domain }),
      (l, domains) => {
        l.domains = domains;
      },
    ),
    call(
      "sharing",
      domainRows,
      ({ process, domains }) => ({ process, domains }),
      (l, rows) => void (l.rows = rows),
    ),
    step("print", (host, l) => stdout(host, l.process, formatSharing(l.rows))),
  ],
);

export const vmListVerb = verb(
  "vm-list",
  ({ process }) => ({ process, status: 0, vms: [] as DomainInfo[], rows: [] as DomainRow[] }),
  ({ call, step }) => [
    call("libxl_list_vm", vmList, sameProcess, (l, vms) => void (l.vms = vms)),
    call(
      "names",
      domainRows,
      ({ process, vms }) => ({ process, domains: vms }),
      (l, rows) => void (l.rows = rows),
    ),
    step("print", (host, l) => stdout(host, l.process, formatVmList(l.rows))),
  ],
);
