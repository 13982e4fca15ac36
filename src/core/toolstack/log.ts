// SPDX-License-Identifier: Apache-2.0
//
// libxl's error lines. Each is written by the step, or behind the call, that
// failed; `where` is libxl 4.17's own file, line and function.

import type { Errno } from "../engine/errno.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { stderr } from "../daemons/process.ts";
import { ERROR_FAIL } from "./rc.ts";
import { errnoNumber, strerror } from "./strerror.ts";

/** The first domid that is not a guest's: libxl names the domain in a message only below it. */
const FIRST_RESERVED = 0x7ff0;

/** A line of libxl's: `WHERE: Domain N:TEXT`; without a guest domain, or for domain 0, no `Domain N:`. */
function libxlLine(where: string, text: string, domid: number | null): string {
  const about = domid !== null && domid > 0 && domid < FIRST_RESERVED ? `Domain ${domid}:` : "";
  return `${where}: ${about}${text}\n`;
}

/** `libxl: error: WHERE: Domain N:TEXT`. */
export function libxlError(
  host: Host,
  process: string,
  where: string,
  text: string,
  domid: number | null = null,
): void {
  stderr(host, process, `libxl: error: ${libxlLine(where, text, domid)}`);
}

/** `libxl: warning: WHERE: Domain N:TEXT`. */
export function libxlWarning(
  host: Host,
  process: string,
  where: string,
  text: string,
  domid: number | null = null,
): void {
  stderr(host, process, `libxl: warning: ${libxlLine(where, text, domid)}`);
}

/** libxenctrl's words for a failure of its own: `xc: error: TEXT: Internal error`. */
export function xcError(host: Host, process: string, text: string): void {
  stderr(host, process, `xc: error: ${text}\n`);
}

/** libxc's words with the error it failed with (PERROR). */
export function xcPerror(host: Host, process: string, text: string, errno: Errno): void {
  xcError(host, process, `${text} (${errnoNumber(errno)} = ${strerror(errno)}): Internal error`);
}

/** A failed operation, reported (LOGE): the line ends with the error's words. Fails with ERROR_FAIL. */
export function reported(
  host: Host,
  process: string,
  where: string,
  text: string,
  failure: Failure,
  domid: number | null = null,
): Failure {
  libxlError(host, process, where, `${text}: ${strerror(failure.errno)}`, domid);
  return fail(ERROR_FAIL);
}

/** What a routine whose failures are reported keeps in its locals. */
export interface Reporting {
  process: string;
  domid: number;
  /** The failure under way, once there is one. */
  errno: Errno;
}

/** Where a complaint is made and what it says beside libxl's file and line. */
export interface Complaint<L> {
  where: string;
  text: string | ((l: L) => string);
  /** The failure that goes on instead of the one that came. */
  as?: Errno;
  /** Without the domain's number. */
  plain?: true;
}

/**
 * A word for "and if that fails, say so": a body whose failure is reported in
 * one line and goes on.
 */
export function complaining<L extends Reporting>(
  words: Vocabulary<L>,
): (complaint: Complaint<L>, body: Node<L>[]) => Node<L> {
  return ({ where, text, as, plain }, body) =>
    words.attempt(body).onError(
      (l, errno) => void (l.errno = errno),
      [
        words.step(`log ${where}`, (host, l) => {
          const line = typeof text === "string" ? text : text(l);
          libxlError(host, l.process, where, line, plain === true ? null : l.domid);
          return fail(as ?? l.errno);
        }),
      ],
    );
}
