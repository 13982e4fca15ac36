// SPDX-License-Identifier: Apache-2.0
//
// `xl create -c`: a child of xl's that becomes xenconsole once its domain has a
// console (tools/xl/xl_vmcontrol.c, autoconnect_console).

import type { Cells } from "../engine/cells.ts";
import { errnoNumber } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { exitProcess, hasExited, processCell, reap, spawnProcess } from "../daemons/process.ts";
import { closeContext, openContext } from "./libxl-ctx.ts";
import { primaryConsole } from "./primary-console.ts";
import { sameDomain } from "./same.ts";
import { isAttached, xenconsole } from "./xenconsole.ts";
import type { ConsoleType } from "./xenconsole.ts";

/** Microseconds the child lets pass before it looks. */
const PAUSE = 1_000_000;

/** The name of an xl process's console child. */
export const consoleChildOf = (process: string): string => `${process}/console`;

const consoleChild = routine(
  "console child",
  (a: { process: string; domid: number }) => ({
    ...a,
    type: "pv" as ConsoleType,
    errno: null as Errno | null,
  }),
  ({ step, sleep, attempt, call }) => [
    step("postfork", (host, l) => openContext(host, l.process)),
    sleep("sleep(1)", () => PAUSE),
    attempt([
      call("libxl_primary_console_exec", primaryConsole, sameDomain, (l, type) => void (l.type = type)),
      step("execl", (host, l) => closeContext(host, l.process)),
      call("xenconsole", xenconsole, ({ process, domid, type }) => ({ process, domid, type, number: 0 })),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("exit", (host, l) => {
      closeContext(host, l.process);
      exitProcess(host, l.process, l.errno === null ? 0 : errnoNumber(l.errno));
    }),
  ],
);

/** Starts the child and waits until it has opened the terminal, or could not. */
export const startConsole = routine(
  "autoconnect_console",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ step, waitFor }) => [
    step("fork", (host, { process, domid }) => {
      spawnProcess(
        host,
        consoleChildOf(process),
        ["xenconsole", String(domid)],
        consoleChild,
        { domid },
        { awaited: true },
      );
    }),
    waitFor(
      "notification",
      (host, { process }) =>
        isAttached(host, consoleChildOf(process)) || hasExited(host, consoleChildOf(process)),
    ),
  ],
);

const hasChild = (cells: Cells, process: string): boolean =>
  cells.get(processCell, consoleChildOf(process)) !== undefined;

/** Waits until the child has ended, if there is one. */
export const waitForConsole = routine(
  "console_child_report",
  (a: { process: string }) => ({ ...a, child: false }),
  ({ step, when, waitFor }) => [
    step("is there one", (host, l) => void (l.child = hasChild(host, l.process))),
    when("there is", (l) => l.child, [
      waitFor("waitpid", (host, l) => hasExited(host, consoleChildOf(l.process))),
      step("reap", (host, l) => void reap(host, consoleChildOf(l.process))),
    ]),
  ],
);
