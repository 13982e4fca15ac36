// SPDX-License-Identifier: Apache-2.0
//
// Every request with every number of strings, ended and not, sensible and not; and
// domids as nobody writes them.

import { ask, type Sequence, type Step } from "./steps.ts";

/** CONTROL prints what each daemon thinks of itself; it is asked where it is refused. */
const types = [
  ...([
    "DIRECTORY",
    "READ",
    "GET_PERMS",
    "WATCH",
    "UNWATCH",
    "TRANSACTION_START",
    "TRANSACTION_END",
  ] as const),
  ...([
    "INTRODUCE",
    "RELEASE",
    "GET_DOMAIN_PATH",
    "WRITE",
    "MKDIR",
    "RM",
    "SET_PERMS",
    "WATCH_EVENT",
  ] as const),
  ...(["ERROR", "IS_DOMAIN_INTRODUCED", "RESUME", "SET_TARGET", "RESET_WATCHES", "DIRECTORY_PART"] as const),
];

const bodies = [
  ...["", "|", "||", "|||", "/a", "/a|", "/a||", "/a|t", "/a|t|", "/a|t||", "/a|t|3", "/a|t|3|", "/a|t|-1|"],
  ...["/a|t|3|x|", "a|", "a", "//|", "/a/|", "/a//b|", "@x|", "@releaseDomain|t|", "@introduceDomain|t|x|"],
  ...["T", "T|", "F|", "TF|", "t|", "T|x|", "/a|n0", "/a|n0|", "/a|x0|", "/a|n|", "/a|n-1|", "/a|n65536|"],
  ...["/a|n0x1|", "/a|n 1|", "/a|n1x|", "/a|n01|", "/a|nn|", "/a|r99999999999|"],
];

/** Numbers of domains; those of `introducible` could be introduced where nobody asks the hypervisor. */
const introducible = ["-1", "32752", "65535", "65536", "4294967297", "2147483648", "-65535"];
const domids = ["0", "1", "01", " 1", "1 ", "+1", "0x1", "1x", "", "99999999999999999999", "1.5", "\u00e9"];
const named = { GET_DOMAIN_PATH: 1, IS_DOMAIN_INTRODUCED: 1, RELEASE: 1, RESUME: 1, SET_TARGET: 2 } as const;

/** The toolstack and a domain. */
const askers = [0, 3] as const;

function shapes(): Sequence[] {
  return types.flatMap((type) =>
    askers.map((who) => ({
      steps: [ask(0, "WRITE", "/a|v"), ...bodies.map((body) => ask(who, type, body))],
    })),
  );
}

function numbers(): Sequence[] {
  return (Object.keys(named) as (keyof typeof named)[]).flatMap((type) =>
    askers.map((who) => ({
      steps: [...domids, ...introducible].flatMap((domid): Step[] =>
        named[type] === 1
          ? [ask(who, type, `${domid}|`), ask(who, type, domid)]
          : [ask(who, type, `${domid}|1|`), ask(who, type, `1|${domid}|`), ask(who, type, `${domid}|`)],
      ),
    })),
  );
}

/** Of a domain that is introduced already, its page and its port as nobody writes them. */
function introductions(): Sequence[] {
  const odd = [...domids, ...introducible];
  return [
    {
      steps: odd.flatMap((number) => [
        ask(0, "INTRODUCE", `1|${number}|1|`),
        ask(0, "INTRODUCE", `1|1|${number}|`),
      ]),
    },
    { steps: domids.map((domid) => ask(0, "INTRODUCE", `${domid}|1|1|`)) },
  ];
}

/** All of it, a sequence each. */
export const grid: readonly Sequence[] = [...shapes(), ...numbers(), ...introductions()];
