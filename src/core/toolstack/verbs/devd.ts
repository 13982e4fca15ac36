// SPDX-License-Identifier: Apache-2.0
//
// devd (tools/xl/xl_misc.c, main_devd; xl_utils.c, do_daemonize).

import { must } from "../../engine/cells.ts";
import { routine } from "../../engine/routine.ts";
import { writeFileText } from "../../daemons/files.ts";
import { hasExited, processCell, spawnProcess } from "../../daemons/process.ts";
import { DEVD_DAEMON } from "../../guest/driver-domain.ts";
import { deviceEventsHandler } from "../devd.ts";
import { hasContext, openContext } from "../libxl-ctx.ts";
import { sameProcess } from "../same.ts";
import { killProcess } from "../signals.ts";
import { verb } from "../verb.ts";

/** Where the daemon's words go (libxl_create_logfile). */
const LOG = "/var/log/xen/xldevd.log";

/** The daemon: a context of its own; it ends only where xenstored does, or by a signal. */
const daemon = routine(
  DEVD_DAEMON,
  (a: { process: string }) => ({ ...a }),
  ({ step, attempt, call }) => [
    attempt([
      step("postfork", (host, l) => openContext(host, l.process)),
      call("libxl_device_events_handler", deviceEventsHandler, sameProcess),
    ]).onError(() => {}, []),
    // What it does beside its loop ends with it.
    step("exit", (host, l) => killProcess(host, l.process, 1, false)),
  ],
);

export const devdVerb = verb(
  "devd",
  ({ process, command }) => ({ process, command, status: 0, daemon: "" }),
  ({ when, step, waitFor, attempt, call }) => [
    when(
      "do_daemonize",
      (l) => l.command.daemonize,
      [
        step("fork", (host, l) => {
          const { argv } = must(host, processCell, l.process);
          l.daemon = spawnProcess(host, `${l.process}.devd`, argv, daemon, {}, { log: LOG });
          const { pid } = must(host, processCell, l.daemon);
          if (l.command.pidfile !== null) writeFileText(host, l.command.pidfile, `${pid}\n`);
        }),
        waitFor("daemon(3)", (host, l) => hasContext(host, l.daemon) || hasExited(host, l.daemon)),
      ],
      [
        attempt([call("libxl_device_events_handler", deviceEventsHandler, sameProcess)]).onError(() => {}, [
          step("exit", (host, l) => killProcess(host, l.process, 1, false)),
        ]),
      ],
    ),
  ],
);
