// SPDX-License-Identifier: Apache-2.0
//
// Names of domains: nodes in xenstore, found by asking for every domain's
// (tools/libs/light/libxl_utils.c; xl_utils.c, find_domain).

import { present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { listDomains } from "./dominfo.ts";
import { stderr } from "../daemons/process.ts";
import { ERROR_INVAL, rcOf } from "./rc.ts";
import { xsRead } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";
import { invalidDomainWithoutRc } from "./xl/messages.ts";

/** A domain's name (libxl_domid_to_name), or null where it has none. */
export const domidToName = routine(
  "libxl_domid_to_name",
  (a: { process: string; domid: number }) => ({ ...a, name: null as string | null }),
  ({ call }) => [
    call(
      "xs_read",
      xsRead,
      (l) => ({ process: l.process, path: `/local/domain/${l.domid}/name` }),
      (l, name) => void (l.name = name),
    ),
  ],
  (l) => l.name,
);

/** The domain of a name (libxl_name_to_domid). ERROR_INVAL where nobody has it. */
export const nameToDomid = routine(
  "libxl_name_to_domid",
  (a: { process: string; name: string }) => ({
    ...a,
    domids: [] as number[],
    domid: -1,
    found: null as number | null,
  }),
  ({ each, when, call, failWith }) => [
    call("libxl_list_domain", listDomains, sameProcess, (l, domains) => {
      l.domids = domains.map((info) => info.domid);
    }),
    each(
      "domain",
      (l) => l.domids,
      (l, domid) => void (l.domid = domid),
      [
        when("not found yet", (l) => l.found === null, [
          call("libxl_domid_to_name", domidToName, sameDomain, (l, name) => {
            if (name === l.name) l.found = l.domid;
          }),
        ]),
      ],
    ),
    when("no such name", (l) => l.found === null, [failWith("ERROR_INVAL", ERROR_INVAL)]),
  ],
  (l) => present(l.found),
);

/**
 * The domid of a number or a name (libxl_domain_qualifier_to_domid). A number is
 * taken as it is, whether or not there is such a domain. ERROR_INVAL for a name
 * that is nobody's.
 */
export const qualifierToDomid = routine(
  "libxl_domain_qualifier_to_domid",
  (a: { process: string; domain: string }) => ({
    ...a,
    domid: /^\d*$/.test(a.domain) ? Number(a.domain) : -1,
  }),
  ({ when, call }) => [
    when("by name", (l) => l.domid < 0, [
      call(
        "libxl_name_to_domid",
        nameToDomid,
        ({ process, domain }) => ({ process, name: domain }),
        (l, domid) => {
          l.domid = domid;
        },
      ),
    ]),
  ],
  (l) => l.domid,
);

/**
 * The domain a user named, and its name if it has one. Says why and fails where
 * a name is nobody's: xl then exits with 1.
 */
export const findDomain = routine(
  "find_domain",
  (a: { process: string; domain: string }) => ({ ...a, domid: -1, name: null as string | null, rc: 0 }),
  ({ attempt, call, step, failWith }) => [
    attempt([
      call(
        "libxl_domain_qualifier_to_domid",
        qualifierToDomid,
        ({ process, domain }) => ({ process, domain }),
        (l, domid) => {
          l.domid = domid;
        },
      ),
    ]).onError(
      (l, errno) => void (l.rc = rcOf(errno)),
      [
        step("complain", (host, l) =>
          stderr(host, l.process, `${l.domain} is an invalid domain identifier (rc=${l.rc})\n`),
        ),
        failWith("no such domain", ERROR_INVAL),
      ],
    ),
    call("common_domname", domidToName, sameDomain, (l, name) => void (l.name = name)),
  ],
  ({ domid, name }) => ({ domid, name }),
);

/** What a verb about one domain has among its locals. */
interface NamesDomain {
  process: string;
  command: { readonly domain: string };
  domid: number;
}

/** `findDomain` of the domain that a verb's command line names, into its `domid`. */
export function findNamed<L extends NamesDomain>(call: Vocabulary<L>["call"]): Node<L> {
  return call(
    "find_domain",
    findDomain,
    ({ process, command }) => ({ process, domain: command.domain }),
    (l, { domid }) => void (l.domid = domid),
  );
}

/** What a verb about several domains has among its locals. */
interface NamesDomains {
  process: string;
  command: { readonly domains: readonly string[] };
  /** The one whose turn it is, as it was typed, and its number. */
  domain: string;
  domid: number;
}

/** What is done for each name on a verb's command line. */
function eachDomain<L extends NamesDomains>({ each }: Pick<Vocabulary<L>, "each">, body: Node<L>[]): Node<L> {
  return each(
    "domain",
    (l) => l.command.domains,
    (l, domain) => void (l.domain = domain),
    body,
  );
}

/** What is done with each domain that a verb's command line names; a name that is nobody's ends the verb. */
export function eachNamed<L extends NamesDomains>(
  { each, call }: Pick<Vocabulary<L>, "each" | "call">,
  body: Node<L>,
): Node<L> {
  return eachDomain({ each }, [
    call(
      "find_domain",
      findDomain,
      ({ process, domain }) => ({ process, domain }),
      (l, { domid }) => void (l.domid = domid),
    ),
    body,
  ]);
}

/** The same, where a name that is nobody's is complained of and passed over. */
export function eachNamedThatIs<L extends NamesDomains>(
  { each, attempt, call, step }: Pick<Vocabulary<L>, "each" | "attempt" | "call" | "step">,
  body: Node<L>,
): Node<L> {
  return eachDomain({ each }, [
    attempt([
      call(
        "libxl_domain_qualifier_to_domid",
        qualifierToDomid,
        ({ process, domain }) => ({ process, domain }),
        (l, domid) => void (l.domid = domid),
      ),
      body,
    ]).onError(
      (l) => void (l.domid = -1),
      [step("complain", (host, l) => stderr(host, l.process, invalidDomainWithoutRc(l.domain)))],
    ),
  ]);
}
