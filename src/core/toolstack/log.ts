// SPDX-License-Identifier: Apache-2.0
//
// libxl's error lines, and what it says with -v. Each is written by the step, or behind the call, that
// failed; `where` is libxl 4.17's own file, line and function.

import type { Cells } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import { errnoNumber, fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { processCell, stderr } from "../daemons/process.ts";
import { ERROR_FAIL } from "./rc.ts";
import { strerror } from "./strerror.ts";

/** The first domid that is not a guest's: libxl names the domain in a message only below it. */
const FIRST_RESERVED = 0x7ff0;

/** A line of libxl's: `WHERE: Domain N:TEXT`; without a guest domain, or for domain 0, no `Domain N:`. */
function libxlLine(where: string, text: string, domid: number | null): string {
  const about = domid !== null && domid > 0 && domid < FIRST_RESERVED ? `Domain ${domid}:` : "";
  return `${where}: ${about}${text}\n`;
}

/** How often xl was given -v before its verb; 0 for another program. */
function verbosity(cells: Cells, process: string): number {
  const [program, ...words] = cells.get(processCell, process)?.argv ?? [];
  if (program !== "xl") return 0;
  let count = 0;
  for (const word of words) {
    if (!word.startsWith("-")) break;
    count += word.split("v").length - 1;
  }
  return count;
}

/** Says a line, for a domain where one is named. */
type Say = (host: Host, process: string, where: string, text: string, domid?: number | null) => void;

/** Lines of a level: `libxl: LEVEL: WHERE: Domain N:TEXT`, from so many -v of xl's on. */
function sayer(level: "error" | "warning" | "info" | "detail" | "debug", from: number): Say {
  return (host, process, where, text, domid = null) => {
    if (from === 0 || verbosity(host, process) >= from)
      stderr(host, process, `libxl: ${level}: ${libxlLine(where, text, domid)}`);
  };
}

export const libxlError = sayer("error", 0);
export const libxlWarning = sayer("warning", 0);
export const libxlInfo = sayer("info", 0);
export const libxlDetail = sayer("detail", 1);
/** What it says of its event loop is left out. */
export const libxlDebug = sayer("debug", 3);

/** A wait for a backend is over. */
export function sayCleanup(host: Host, process: string, domid: number): void {
  const text = "calling device_backend_cleanup";
  libxlDebug(host, process, "libxl_device.c:1168:device_backend_callback", text, domid);
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
