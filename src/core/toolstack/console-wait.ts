// SPDX-License-Identifier: Apache-2.0
//
// A domain is not created before its console can be attached to: xenconsoled
// says so by writing the terminal's name (tools/libs/light/libxl_create.c,
// console_xswait_callback).

import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { waitForNode } from "./device-wait.ts";
import { libxlError } from "./log.ts";
import { ERROR_TIMEDOUT } from "./rc.ts";
import { xsGetDomainPath, xsWatch } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Microseconds xenconsoled has for it (LIBXL_INIT_TIMEOUT). */
const INIT_TIMEOUT = 10_000_000;

/** Waits for the name of the first console's terminal. Fails with ERROR_TIMEDOUT, and says so. */
export const consoleTtyWait = routine(
  "console_xswait_callback",
  (a: { process: string; domid: number }) => ({
    ...a,
    home: "",
    watch: null as Watch | null,
    errno: "EIO" as Errno,
  }),
  ({ call, attempt, step, failWith }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "watch tty",
      xsWatch,
      ({ process, home }) => ({ process, path: `${home}/console/tty` }),
      (l, watch) => {
        l.watch = watch;
      },
    ),
    attempt([
      call("wait for tty", waitForNode, ({ process, watch }) => ({
        process,
        watch: present(watch),
        hope: { nonempty: true as const },
        timeout: INIT_TIMEOUT,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => {
          if (l.errno !== ERROR_TIMEDOUT) return;
          const text = `domain ${l.domid} console tty: timed out`;
          libxlError(host, l.process, "libxl_create.c:1976:console_xswait_callback", text);
        }),
        failWith("no console", (l) => l.errno),
      ],
    ),
  ],
);
