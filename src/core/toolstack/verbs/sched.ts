// SPDX-License-Identifier: Apache-2.0
//
// sched-credit, sched-credit2 (tools/xl/xl_sched.c): domains' shares of the
// processors, and pools' parameters.

import { fail, isFailure, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { cpupoolidToName, listCpupools } from "../cpupool.ts";
import type { Cpupool } from "../cpupool.ts";
import { listDomains } from "../dominfo.ts";
import type { DomainInfo } from "../dominfo.ts";
import { domidToName, findDomain } from "../name.ts";
import { ERROR_FAIL } from "../rc.ts";
import {
  domainSchedParams,
  poolSchedParams,
  SCHED_IDS,
  setDomainSchedParams,
  setPoolRatelimit,
} from "../sched.ts";
import type { SchedName, SchedShare } from "../sched.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import * as format from "../xl/format/cpupools.ts";
import * as say from "../xl/messages.ts";
import { poolNamed } from "./pool-named.ts";
import { sameDomain, sameProcess } from "../same.ts";

/** A domain's share, by the scheduler that the verb is about; says so where another one is at work. */
export const shareOf = routine(
  "sched_domain_get",
  (a: { process: string; domid: number; sched: SchedName }) => ({ ...a, share: null as SchedShare | null }),
  ({ attempt, call, step, failWith }) => [
    attempt([
      call("libxl_domain_sched_params_get", domainSchedParams, sameDomain, (l, share) => {
        l.share = share;
      }),
    ]).onError(() => {}, [
      step("complain", (host, l) =>
        stderr(host, l.process, say.libxlCallFailed("libxl_domain_sched_params_get")),
      ),
      failWith("no parameters", ERROR_FAIL),
    ]),
    step("right scheduler", (host, { process, share, sched }) => {
      const { sched: found } = present(share);
      if (found === sched) return undefined;
      stderr(host, process, say.otherScheduler("libxl_domain_sched_params_get", found, sched));
      return fail(ERROR_FAIL);
    }),
  ],
  (l) => present(l.share),
);

/** One domain's line. */
const printShare = routine(
  "sched_credit_domain_output",
  (a: { process: string; domid: number; sched: SchedName }) => ({
    ...a,
    share: null as SchedShare | null,
    name: null as string | null,
  }),
  ({ call, step }) => [
    call(
      "sched_domain_get",
      shareOf,
      ({ process, domid, sched }) => ({ process, domid, sched }),
      (l, share) => {
        l.share = share;
      },
    ),
    call("libxl_domid_to_name", domidToName, sameDomain, (l, name) => void (l.name = name)),
    step("print", (host, { process, name, domid, share }) => {
      const { weight, cap } = present(share);
      stdout(host, process, format.formatCreditRow({ name, domid, weight, cap }));
    }),
  ],
);

/** A pool's line; where its parameters cannot be had it says that. */
const printPool = routine(
  "sched_credit_pool_output",
  (a: { process: string; poolid: number; sched: "credit" | "credit2" }) => ({
    ...a,
    name: null as string | null,
  }),
  ({ call, step }) => [
    call(
      "libxl_cpupoolid_to_name",
      cpupoolidToName,
      ({ process, poolid }) => ({ process, poolid }),
      (l, name) => {
        l.name = name;
      },
    ),
    step("scheduler_op", (host, { process, poolid, sched, name }) => {
      const params = poolSchedParams(host, process, poolid, sched);
      if (isFailure(params)) stderr(host, process, say.libxlCallFailed(`libxl_sched_${sched}_params_get`));
      stdout(host, process, format.formatCredit2Pool(name, isFailure(params) ? null : params));
    }),
  ],
);

/** Every pool of the scheduler, or the one that was named, with its domains. */
const printPools = routine(
  "sched_domain_output",
  (a: { process: string; sched: "credit" | "credit2"; cpupool: string | null }) => ({
    ...a,
    only: null as number | null,
    domains: [] as DomainInfo[],
    pools: [] as Cpupool[],
    poolid: -1,
    domid: -1,
  }),
  ({ when, call, each, step, attempt }) => [
    when("one pool", (l) => l.cpupool !== null, [
      call(
        "pool",
        poolNamed,
        ({ process, cpupool }) => ({ process, pool: cpupool as string }),
        (l, poolid) => {
          l.only = poolid;
        },
      ),
    ]),
    call("libxl_list_domain", listDomains, sameProcess, (l, domains) => void (l.domains = domains)),
    call("libxl_list_cpupool", listCpupools, sameProcess, (l, pools) => {
      l.pools = pools.filter(
        ({ schedId, cpupoolId }) =>
          schedId === SCHED_IDS[l.sched] && (l.only === null || l.only === cpupoolId),
      );
    }),
    // A domain that cannot be shown ends the list, and nobody is told.
    attempt([
      each(
        "pool's domains",
        (l) => l.pools.map(({ cpupoolId }) => cpupoolId),
        (l, poolid) => void (l.poolid = poolid),
        [
          call("print pool", printPool, ({ process, poolid, sched }) => ({ process, poolid, sched })),
          step("header", (host, l) => stdout(host, l.process, format.formatCreditHeader())),
          each(
            "domain",
            (l) => l.domains.filter(({ cpupool }) => cpupool === l.poolid).map(({ domid }) => domid),
            (l, domid) => void (l.domid = domid),
            [call("print domain", printShare, ({ process, domid, sched }) => ({ process, domid, sched }))],
          ),
        ],
      ),
    ]).onError(() => {}, []),
  ],
);

interface CreditCommand {
  domain: string | null;
  cpupool: string | null;
  schedparam: boolean;
  weight: number | null;
  cap: number | null;
  ratelimitUs: number | null;
  /** What only sched-credit has. */
  tsliceMs?: number | null;
  migrationDelayUs?: number | null;
}

interface CreditLocals extends VerbLocals {
  sched: "credit" | "credit2";
  command: CreditCommand;
  poolid: number;
  domid: number;
}

/** Shows or changes a pool's parameters. */
const poolParams = ({ when, call, step }: Vocabulary<CreditLocals>): Node<CreditLocals>[] => [
  when("a pool was named", (l) => l.command.cpupool !== null, [
    call(
      "pool",
      poolNamed,
      ({ process, command }) => ({ process, pool: command.cpupool as string }),
      (l, poolid) => {
        l.poolid = poolid;
      },
    ),
  ]),
  when(
    "nothing to change",
    ({ command }) =>
      [command.ratelimitUs, command.tsliceMs, command.migrationDelayUs].every(
        (given) => (given ?? null) === null,
      ),
    [call("print pool", printPool, ({ process, poolid, sched }) => ({ process, poolid, sched }))],
    [
      step("set", (host, { process, poolid, sched, command }) => {
        // Credit's parameters are read before they are changed, and Credit is not at work.
        const had = sched === "credit" ? poolSchedParams(host, process, poolid, sched) : null;
        if (had !== null && isFailure(had)) {
          stderr(host, process, say.libxlCallFailed(`libxl_sched_${sched}_params_get`));
          return had;
        }
        const set = setPoolRatelimit(host, process, poolid, command.ratelimitUs ?? 0);
        if (isFailure(set)) stderr(host, process, say.libxlCallFailed(`libxl_sched_${sched}_params_set`));
        return set;
      }),
    ],
  ),
];

/** Shows or changes a domain's share. */
const domainParams = ({ when, call, step }: Vocabulary<CreditLocals>): Node<CreditLocals>[] => [
  call(
    "find_domain",
    findDomain,
    ({ process, command }) => ({ process, domain: command.domain as string }),
    (l, { domid }) => {
      l.domid = domid;
    },
  ),
  when(
    "only look",
    ({ command }) => command.weight === null && command.cap === null,
    [
      step("header", (host, l) => stdout(host, l.process, format.formatCreditHeader())),
      call("print", printShare, ({ process, domid, sched }) => ({ process, domid, sched })),
    ],
    [
      step("sched_domain_set", (host, { process, domid, sched, command: { weight, cap } }) => {
        const set = setDomainSchedParams(host, process, { domid, sched, weight, cap });
        if (isFailure(set)) stderr(host, process, say.libxlCallFailed("libxl_domain_sched_params_set"));
        return set;
      }),
    ],
  ),
];

const locals =
  (sched: "credit" | "credit2") =>
  ({ process, command }: { process: string; command: CreditCommand }): CreditLocals => ({
    process,
    sched,
    command,
    status: 0,
    poolid: 0,
    domid: -1,
  });

const body = (words: Vocabulary<CreditLocals>): Node<CreditLocals>[] => [
  words.when("of a pool", (l) => l.command.schedparam, poolParams(words), [
    words.when(
      "of all domains",
      (l) => l.command.domain === null,
      [
        words.call("print all", printPools, ({ process, sched, command }) => ({
          process,
          sched,
          cpupool: command.cpupool,
        })),
      ],
      domainParams(words),
    ),
  ]),
];

export const schedCreditVerb = verb("sched-credit", locals("credit"), body);
export const schedCredit2Verb = verb("sched-credit2", locals("credit2"), body);
