// SPDX-License-Identifier: Apache-2.0
//
// xenconsole: what `xl console` becomes. It finds the terminal of a domain's
// console in xenstore and prints what comes from it, until the terminal is gone
// (tools/console/client/main.c). What a user types comes as an input.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { stderr, stdout } from "../daemons/process.ts";
import {
  consoleHasOutput,
  consoleTty,
  domainConsoleCell,
  readConsole,
  writeConsoleInput,
} from "../daemons/xenconsoled-cells.ts";
import { xsClose, xsEventPending, xsOpen, xsTakeEvent, xsTalk } from "../daemons/xs-client.ts";
import { domainInfo } from "./dominfo.ts";
import { strerror } from "./strerror.ts";
import { xsGetDomainPath, xsRead } from "./xs.ts";

/** Microseconds the terminal has to appear: a domain may be newer than xenconsoled knows. */
const TTY_TIMEOUT = 5_000_000;

/** The only watch is known by an empty token. */
const TOKEN = "";

export type ConsoleType = "pv" | "serial" | "vuart";

/** Ctrl-], which leaves a console (ESCAPE_CHARACTER). */
export const LEAVE_CONSOLE = "\u001d";

/** A process that has a domain's terminal open, by the process's name; whether its user has left it. */
const attachedConsoleCell = cellType<{ domid: number; left: boolean }>("attached-console");

/** Whether a process has opened the terminal it was looking for. */
export function isAttached(cells: Cells, process: string): boolean {
  return cells.get(attachedConsoleCell, process) !== undefined;
}

/**
 * Text typed at a process that is attached to a console, a character a byte. What
 * does not fit into the ring is lost, as at a terminal whose program does not
 * read. What is typed after Ctrl-] is nobody's.
 */
export function typeAtConsole(host: Host, process: string, text: string): void {
  const attached = host.get(attachedConsoleCell, process);
  if (attached === undefined || attached.left) return;
  const end = text.indexOf(LEAVE_CONSOLE);
  const keys = end < 0 ? text : text.slice(0, end);
  if (keys !== "" && consoleTty(host, attached.domid) !== null) writeConsoleInput(host, attached.domid, keys);
  if (end >= 0) host.edit(attachedConsoleCell, process).left = true;
}

/** Whether the user of an attached process has left. */
const hasLeft = (cells: Cells, process: string): boolean =>
  cells.get(attachedConsoleCell, process)?.left === true;

/** Where a console's terminal is written. */
function ttyPath(home: string, type: ConsoleType, number: number): string {
  if (type === "serial") return `${home}/serial/${number}/tty`;
  if (type === "vuart") return `${home}/vuart/0/tty`;
  return number === 0 ? `${home}/console/tty` : `${home}/device/console/${number}/tty`;
}

/** Waits for a terminal's name that is one; null where none appears in time. */
const getPty = routine(
  "get_pty_fd",
  (a: { process: string; path: string; timeout: number }) => ({
    ...a,
    deadline: 0,
    left: a.timeout,
    late: false,
    tty: null as string | null,
  }),
  ({ step, repeatUntil, waitFor, when, call }) => [
    step("start", (host, l) => void (l.deadline = host.now + l.timeout)),
    repeatUntil("found", (l) => l.late || (l.tty !== null && l.tty !== ""), [
      step("time left", (host, l) => void (l.left = l.deadline - host.now)),
      waitFor("select", (host, l) => xsEventPending(host, l.process, TOKEN), {
        timeout: (l) => l.left,
        timedOut: (l) => void (l.late = true),
      }),
      when("event", (l) => !l.late, [
        step("xs_read_watch", (host, l) => {
          const event = xsTakeEvent(host, l.process, TOKEN);
          return isFailure(event) ? event : undefined;
        }),
        call(
          "xs_read",
          xsRead,
          ({ process, path }) => ({ process, path }),
          (l, tty) => {
            l.tty = tty;
            l.late = l.timeout === 0;
          },
        ),
      ]),
    ]),
  ],
  (l) => (l.tty === "" ? null : l.tty),
);

/**
 * Which console a domain has that is not asked for one: serial for HVM, if there is one. Fails, and says
 * so, without a domain.
 */
const consoleType = routine(
  "xc_domain_getinfo",
  (a: {
    process: string;
    connection: string;
    domid: number;
    type: ConsoleType | null;
    number: number;
    home: string;
  }) => ({
    ...a,
    serial: null as string | null,
  }),
  ({ when, step, call }) => [
    when("not asked for", (l) => l.type === null, [
      step("default", (host, l) => {
        const info = domainInfo(host, l.process, l.domid);
        if (!isFailure(info)) return void (l.type = info.hvmGuest ? "serial" : "pv");
        stderr(host, l.process, `xenconsole: Failed to get domain information: ${strerror("ESRCH")}\n`);
        return fail("ESRCH");
      }),
    ]),
    when("serial", (l) => l.type === "serial", [
      call(
        "is there one",
        xsRead,
        ({ connection, home, number }) => ({ process: connection, path: ttyPath(home, "serial", number) }),
        (l, tty) => {
          if (tty === null) l.type = "pv";
        },
      ),
    ]),
  ],
  (l) => l.type as ConsoleType,
);

/** Prints a domain's console for as long as it has a terminal. Fails, and says so, where none appears. */
export const xenconsole = routine(
  "xenconsole",
  (a: { process: string; domid: number; type: ConsoleType | null; number: number }) => ({
    ...a,
    connection: `${a.process}/xenconsole`,
    home: "",
    path: "",
    tty: null as string | null,
    event: false,
    left: false,
  }),
  ({ always, call, step, when, repeatUntil, waitFor }) => [
    step("xs_open", (host, l) => xsOpen(host, l.connection)),
    always(
      [
        call(
          "xs_get_domain_path",
          xsGetDomainPath,
          ({ connection, domid }) => ({ process: connection, domid }),
          (l, home) => void (l.home = home),
        ),
        call(
          "type",
          consoleType,
          ({ process, connection, domid, type, number, home }) => ({
            process,
            connection,
            domid,
            type,
            number,
            home,
          }),
          (l, type) => void (l.path = ttyPath(l.home, type, l.number)),
        ),
        step("not Domain-0", (host, l) => {
          if (l.domid !== 0) return undefined;
          stderr(host, l.process, "Can't specify Domain-0\n");
          return fail("EINVAL");
        }),
        call("xs_watch", xsTalk, ({ connection, path }) => ({
          process: connection,
          t: 0,
          op: "WATCH" as const,
          payload: `${path}\0${TOKEN}\0`,
        })),
        call(
          "get_pty_fd",
          getPty,
          ({ connection, path }) => ({ process: connection, path, timeout: TTY_TIMEOUT }),
          (l, tty) => void (l.tty = tty),
        ),
        when("no terminal", (l) => l.tty === null, [
          step("complain", (host, l) => {
            stderr(host, l.process, `xenconsole: Could not read tty from store: ${strerror("ENOENT")}\n`);
            return fail("ENOENT");
          }),
        ]),
        // A terminal of a xenconsoled outside is the machine's, not dom0's.
        step("open", (host, l) => {
          if (host.get(domainConsoleCell, l.domid) !== undefined) return undefined;
          stderr(host, l.process, `xenconsole: Could not open tty \`${l.tty}': ${strerror("ENOENT")}\n`);
          return fail("ENOENT");
        }),
        step(
          "attached",
          (host, l) => void host.add(attachedConsoleCell, l.process, { domid: l.domid, left: false }),
        ),
        repeatUntil("terminal is gone", (l) => l.tty === null || l.left, [
          waitFor(
            "select",
            (host, l) =>
              consoleHasOutput(host, l.domid) ||
              xsEventPending(host, l.connection, TOKEN) ||
              hasLeft(host, l.process),
          ),
          step("print", (host, l) => {
            // A terminal another console has taken over is not this one's to read.
            if (consoleTty(host, l.domid) === l.tty) stdout(host, l.process, readConsole(host, l.domid));
            l.event = xsEventPending(host, l.connection, TOKEN);
            l.left = hasLeft(host, l.process);
          }),
          when("terminal changed", (l) => l.event, [
            call(
              "get_pty_fd again",
              getPty,
              ({ connection, path }) => ({ process: connection, path, timeout: 0 }),
              (l, tty) => void (l.tty = tty),
            ),
          ]),
        ]),
      ],
      [
        step("xs_close", (host, l) => {
          xsClose(host, l.connection);
          if (isAttached(host, l.process)) host.drop(attachedConsoleCell, l.process);
        }),
      ],
    ),
  ],
);
