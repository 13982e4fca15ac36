// SPDX-License-Identifier: Apache-2.0
//
// psr-* (tools/xl/xl_psr.c): monitoring and allocating what processors share. The
// machine's processors share nothing of the kind. Many of these mains return
// libxl's code as it is: -3 makes the exit status 253.

import { isFailure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import type { Node, Vocabulary } from "../../engine/routine.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { findDomain, findNamed } from "../name.ts";
import { cmtAttach, cmtEnabled, psrHwInfo, psrSetValue } from "../psr.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { parseRange } from "../xlcfg/cpu-range.ts";

/** Exit statuses of mains that return ERROR_FAIL, and -1. */
const FAIL_STATUS = 253;
const MINUS_ONE = 255;

/** `xl psr-hwinfo`. */
export const psrHwinfoVerb = verb(
  "psr-hwinfo",
  ({ process, command }) => ({ process, command, status: 0 }),
  ({ step }) => [
    step("libxl_psr_get_hw_info", (host, l) => {
      const { process, command } = l;
      if (command.cmt) stdout(host, process, say.cmtInfo(cmtEnabled(host, process)));
      if ((command.cat || command.mba) && isFailure(psrHwInfo(host, process))) l.status = FAIL_STATUS;
    }),
  ],
);

interface DomainLocals extends VerbLocals {
  command: { domain: string };
  domid: number;
}

const domainLocals = ({
  process,
  command,
}: {
  process: string;
  command: { domain: string };
}): DomainLocals => ({
  process,
  command,
  status: 0,
  domid: -1,
});

/** What is done to one domain; a failure of libxl's becomes the exit status. */
const onDomain =
  (act: (host: Host, l: DomainLocals) => unknown) =>
  ({ call, step }: Vocabulary<DomainLocals>): Node<DomainLocals>[] => [
    findNamed(call),
    step("psr", (host, l) => {
      const result = act(host, l);
      if (isFailure(result)) l.status = FAIL_STATUS;
    }),
  ];

const attach = onDomain((host, { process, domid }) => cmtAttach(host, process, domid));

/** `xl psr-cmt-attach`. */
export const psrCmtAttachVerb = verb("psr-cmt-attach", domainLocals, attach);
/** `xl psr-cmt-detach`. */
export const psrCmtDetachVerb = verb("psr-cmt-detach", domainLocals, attach);

interface ShowLocals extends VerbLocals {
  command: { domain: string | null; level?: number };
}

const showLocals = ({
  process,
  command,
}: {
  process: string;
  command: ShowLocals["command"];
}): ShowLocals => ({
  process,
  command,
  status: 0,
});

/** Finds the domain if one was named, then shows. */
const show =
  (act: (host: Host, l: ShowLocals) => void) =>
  ({ when, call, step }: Vocabulary<ShowLocals>): Node<ShowLocals>[] => [
    when("one domain", (l) => l.command.domain !== null, [
      call("find_domain", findDomain, ({ process, command }) => ({
        process,
        domain: command.domain as string,
      })),
    ]),
    step("show", act),
  ];

/** `xl psr-cmt-show`. */
export const psrCmtShowVerb = verb(
  "psr-cmt-show",
  showLocals,
  show((host, l) => {
    if (cmtEnabled(host, l.process)) return;
    stderr(host, l.process, say.cmtDisabled);
    l.status = MINUS_ONE;
  }),
);

const showValues = show((host, l) => {
  const { level } = l.command;
  if (level !== undefined && level !== 2 && level !== 3) {
    stderr(host, l.process, say.wrongLevel(level));
    l.status = 1;
  } else if (isFailure(psrHwInfo(host, l.process))) {
    stderr(host, l.process, say.noPsrInfo);
    l.status = FAIL_STATUS;
  }
});

/** `xl psr-cat-show`. */
export const psrCatShowVerb = verb("psr-cat-show", showLocals, showValues);
/** `xl psr-mba-show`. */
export const psrMbaShowVerb = verb("psr-mba-show", showLocals, showValues);

/** "0,2-3" as sockets; null, for all of them, where none is named. */
function socketsOf(text: string | null): number[] | null {
  const ranges = (text ?? "").split(",").map((part) => parseRange(part.trim()));
  const sockets = ranges.flatMap((range) =>
    range === null
      ? []
      : Array.from({ length: Math.min(range.last - range.first + 1, 64) }, (_, i) => range.first + i),
  );
  return sockets.length === 0 ? null : sockets;
}

interface SetLocals extends DomainLocals {
  feature: string;
  sockets: number[] | null;
}

const setBody = ({ call, step }: Vocabulary<SetLocals>): Node<SetLocals>[] => [
  findNamed(call),
  step("libxl_psr_set_val", (host, l) => {
    const set = psrSetValue(host, l.process, l.domid, l.feature, l.sockets);
    if (isFailure(set)) l.status = FAIL_STATUS;
  }),
];

/** `xl psr-cat-set`. */
export const psrCatSetVerb = verb(
  "psr-cat-set",
  ({ process, command }): SetLocals => ({
    ...domainLocals({ process, command }),
    feature: command.level === 2 ? "L2 CAT" : command.type === "both" ? "L3 CAT" : "CDP",
    sockets: socketsOf(command.sockets),
  }),
  setBody,
);

/** `xl psr-mba-set`. */
export const psrMbaSetVerb = verb(
  "psr-mba-set",
  ({ process, command }): SetLocals => ({
    ...domainLocals({ process, command }),
    feature: "MBA",
    sockets: socketsOf(command.sockets),
  }),
  setBody,
);
