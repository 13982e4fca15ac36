// SPDX-License-Identifier: Apache-2.0
//
// Where we mean to differ from the xenstoreds of Debian's xen-utils-4.17, that in
// C and oxenstored, and what is not compared. Each says why and how it is known;
// what `avoids` matches is left out of sequences, and has a case in
// xenstored.test.ts that shows ours.

import { parentOf } from "../../../src/core/xenstore/path.ts";
import { ask, type RequestStep, SOCKETS, type Step } from "./steps.ts";

/** A step they disagree about. */
export interface Seen {
  /** The step in words (describeStep). */
  readonly step: string;
  /** What it brought, theirs and ours, in words. */
  readonly expected: readonly string[];
  readonly actual: readonly string[];
}

/** A difference we mean to have. */
export interface Difference {
  readonly what: string;
  readonly why: string;
  /** Xen's file and function, or how it was seen. */
  readonly source: string;
  /** Steps of a sequence that would show it. */
  readonly avoids?: (step: Step) => boolean;
  /** Whether it explains this; a sequence is not compared beyond. */
  readonly explains?: (seen: Seen) => boolean;
  /** What we answer to a step that is avoided: the request, and the last reply's type and body with `|` for NUL. */
  readonly ours?: { readonly steps: readonly RequestStep[]; readonly answer: string };
}

const onePathTypes: ReadonlySet<unknown> = new Set(["READ", "DIRECTORY", "GET_PERMS", "MKDIR", "RM"]);

function nameIn(step: RequestStep): string {
  return step.body.split("\0")[0] as string;
}

/** From the C xenstored. */
const fromC: readonly Difference[] = [
  {
    what: "READ, DIRECTORY, GET_PERMS, MKDIR or RM whose payload is not one string with its NUL: EINVAL",
    why: "C answers with whatever errno was last, and where that was 0 it sends no reply and aborts",
    source:
      "xenstored_core.c get_node_canonicalized (returns before errno is set) and consider_message (assert); seen: " +
      "RM `a||` ends the daemon",
    avoids: (step) =>
      step.do === "request" &&
      onePathTypes.has(step.type) &&
      (step.body === "" || step.body.indexOf("\0") !== step.body.length - 1),
    ours: { steps: [ask(0, "RM", "a||")], answer: "ERROR EINVAL|" },
  },
  {
    what: "SET_PERMS of a special watch that is refused: EACCES, or EINVAL for an unknown one",
    why: "C computes that, then answers with whatever errno was last; where that was 0, as above",
    source: "xenstored_core.c do_set_perms (`return errno` after set_perms_special)",
    avoids: (step) =>
      step.do === "request" &&
      step.type === "SET_PERMS" &&
      step.body.startsWith("@") &&
      (step.who >= SOCKETS || !["@releaseDomain", "@introduceDomain"].includes(nameIn(step))),
    ours: { steps: [ask(0, "SET_PERMS", "@other|n0|")], answer: "ERROR EINVAL|" },
  },
  {
    what: "a domain that owns `/` dies: the root stays, and is domain 0's",
    why: "C removes the root with all below, and refuses everything from then on",
    source: "xenstored_domain.c domain_tree_remove_sub; seen: every request answers EACCES after it",
    avoids: (step) =>
      step.do === "request" &&
      step.type === "SET_PERMS" &&
      nameIn(step) === parentOf("/") &&
      !/^\/\0[nrwb]0*\0/.test(step.body),
  },
  {
    what: "a transaction removes a node that came after it had seen the parent: fine, and EAGAIN at its commit",
    why: "C finds the node outside the transaction, but not in the parent's list inside, and answers EIO",
    source: "xenstored_core.c delete_child (`Child not found`); seen by a differential run",
    explains: ({ step, expected, actual }) =>
      / RM .* in t\d$/.test(step) && / ERROR "EIO/.test(expected.join()) && / RM "OK/.test(actual.join()),
  },
  {
    what: "RELEASE of a domain that another acts for, or has acted for (SET_TARGET): it is forgotten",
    why: "C answers OK and only drops the other's reference: the domain stays until it is released again, or dies",
    source:
      "xenstored_domain.c do_set_target (talloc_reference) and do_release (talloc_free); seen: introduced after it",
    ours: {
      steps: [
        ask(3, "READ", "x|"),
        ask(4, "READ", "x|"),
        ask(0, "SET_TARGET", "2|1|"),
        ask(0, "RELEASE", "1|"),
        ask(0, "IS_DOMAIN_INTRODUCED", "1|"),
      ],
      answer: "IS_DOMAIN_INTRODUCED F|",
    },
  },
  {
    what: "domains that were only named in permissions, and all go at once",
    why: "C sometimes ends then, once in some 20,000 sequences; such a run is not compared, but counted",
    source: "seen in differential runs: SET_PERMS `a|n2|b0|r1|` by domain 3, then all domains vanish",
  },
  {
    what: "the generation count of DIRECTORY_PART differs where the list of names differs, and only there",
    why: "C's changes with every change of the node; clients only compare it between the parts of one listing",
    source: "docs/misc/xenstore.txt, DIRECTORY_PART; compared for being a number",
  },
  {
    what: "with `--conflicts observed` some transactions commit that C refuses with EAGAIN",
    why: "the specification asks only for conflicting changes to be refused; C refuses siblings and blind writes",
    source: "src/core/xenstore/transaction.ts; `--conflicts strict` is compared without exception",
  },
];

/** The reply to what is asked last, or the only one, is in it. */
const isLong = (lines: readonly string[]): boolean =>
  lines.some((line) => Number(/…\((\d+)\)…/.exec(line)?.[1]) > 4096);

/** From oxenstored, with `--xen-version oxenstored`. */
const fromOcaml: readonly Difference[] = [
  {
    what: "a request without a payload: answered at once",
    why: "oxenstored looks at it when the next one comes",
    source: "libs/xb/xb.ml input (a message is complete when bytes of it arrive)",
    avoids: (step) => step.do === "request" && step.body === "",
    ours: { steps: [ask(0, "READ", "")], answer: "ERROR EINVAL|" },
  },
  {
    what: "a node whose name begins with `@` and has what no other name may have, or a slash: EINVAL",
    why: "oxenstored makes it; no path leads to it, and no xenstored that takes over could have it",
    source: "store.ml Path.of_string (`@…` is a name, whatever follows)",
    avoids: (step) =>
      step.do === "request" &&
      ["WRITE", "MKDIR"].includes(String(step.type)) &&
      /^@[-_@A-Za-z0-9]*[^-_@A-Za-z0-9\0]/.test(step.body),
    ours: { steps: [ask(0, "WRITE", "@a/b|1")], answer: "ERROR EINVAL|" },
  },
  {
    what: "a reply or an event longer than a message may be: E2BIG, and the event is dropped",
    why: "oxenstored sends it to sockets, where libxenstore ends the conversation, and to rings an error that answers nothing",
    source: "connection.ml packet_of",
    explains: ({ expected }) => isLong(expected) || expected.some((line) => line.includes("E2BIG")),
  },
  {
    what: "RELEASE of domain 0: EINVAL",
    why: "oxenstored removes everything domain 0 owns, and its own connection to it",
    source: "process.ml do_release, store.ml reset_permissions",
    avoids: (step) => step.do === "request" && step.type === "RELEASE" && /^[-+]?0*\0/.test(step.body),
    ours: { steps: [ask(0, "RELEASE", "0|")], answer: "ERROR EINVAL|" },
  },
  {
    what: "a domain that owns `/` dies: the root stays, and is domain 0's",
    why: "oxenstored keeps the root with the owner -1, whose nodes go with the next domain that dies",
    source: "store.ml Node.recurse_filter_map",
    avoids: (step) =>
      step.do === "request" &&
      step.type === "SET_PERMS" &&
      nameIn(step) === parentOf("/") &&
      !/^\/\0[nrwb]0*\0/.test(step.body),
  },
];

/** Every difference, by the daemon that it is from. */
export const differences = { c: fromC, ocaml: fromOcaml } as const;

/** The steps that can be compared with a daemon. */
export function comparable(steps: readonly Step[], kind: keyof typeof differences): Step[] {
  return steps.filter((step) => !differences[kind].some(({ avoids }) => avoids?.(step) === true));
}
