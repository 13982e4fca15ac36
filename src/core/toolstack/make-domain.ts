// SPDX-License-Identifier: Apache-2.0
//
// What xl does each time a domain is to be made: the first time, and when it
// was rebooted (tools/xl/xl_vmcontrol.c, create_domain from `start` on). Where
// xl frees memory it holds its lock, so that nobody else takes what was freed.

import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Node, Vocabulary } from "../engine/routine.ts";
import { stderr } from "../daemons/process.ts";
import { startConsole } from "./console-child.ts";
import { domainCreate } from "./domain-create.ts";
import { domainDestroy } from "./domain-destroy.ts";
import type { Source } from "./domain-restore.ts";
import { autoballoon, freemem } from "./freemem.ts";
import { domainUnpause } from "./pause.ts";
import { ERROR_FAIL, rcOf } from "./rc.ts";
import { sameDomain, sameProcess } from "./same.ts";
import { domainSoftReset } from "./soft-reset.ts";
import * as say from "./xl/messages.ts";
import { xlConf } from "./xl-config.ts";

/** How a domain is made. */
export interface MakeHow {
  /** A saved domain it is restored from. */
  source: Source | null;
  /** The domain it is made around, on a soft reset. */
  reset: number | null;
  paused: boolean;
  /** Attach to its console as soon as there is one. */
  console: boolean;
}

interface MakeLocals extends MakeHow {
  process: string;
  balloon: boolean;
  lock: string;
  domid: number;
  errno: Errno | null;
}

/** Frees memory, if that is xl's to do, and makes the domain. */
function makeBody({ when, attempt, call, step }: Vocabulary<MakeLocals>): Node<MakeLocals>[] {
  return [
    when("frees memory", (l) => l.balloon && l.reset === null, [
      attempt([call("freemem", freemem, sameProcess)]).onError(
        (l) => void (l.errno = ERROR_FAIL),
        [step("no memory", (host, l) => stderr(host, l.process, say.cannotFreeMemory))],
      ),
    ]),
    when("has memory", (l) => l.errno === null, [
      when(
        "in the same domain",
        (l) => l.reset !== null,
        [
          call(
            "libxl_domain_soft_reset",
            domainSoftReset,
            ({ process, reset }) => ({ process, domid: reset as number }),
            (l, errno) => {
              l.domid = l.reset as number;
              l.errno = errno;
            },
          ),
        ],
        [
          call(
            "libxl_domain_create_new",
            domainCreate,
            ({ process, source }) => ({ process, source }),
            (l, made) => {
              l.domid = made.domid;
              l.errno = made.errno;
            },
          ),
        ],
      ),
    ]),
  ];
}

/**
 * Makes a domain from the process's create state and lets it run. `rc` is
 * libxl's code where that failed; then the domain is destroyed again.
 */
export const makeDomain = routine(
  "xl make domain",
  (a: { process: string } & MakeHow): MakeLocals => ({
    ...a,
    balloon: false,
    lock: "",
    domid: -1,
    errno: null,
  }),
  (words) => {
    const { step, when, locked, attempt, call } = words;
    return [
      step("start", (host, l) => {
        l.balloon = autoballoon(host);
        l.lock = l.balloon ? xlConf(host).lockfile : `${l.process}/no-lock`;
      }),
      locked("acquire_lock", (l) => l.lock, makeBody(words)),
      when(
        "failed",
        (l) => l.errno !== null,
        [
          when("there is a domain", (l) => l.domid > 0, [
            attempt([call("libxl_domain_destroy", domainDestroy, sameDomain)]).onError(() => {}, []),
          ]),
        ],
        [
          when("console", (l) => l.console, [call("autoconnect_console", startConsole, sameDomain)]),
          when("not to stay paused", (l) => !l.paused, [
            attempt([call("libxl_domain_unpause", domainUnpause, sameDomain)]).onError(() => {}, []),
          ]),
        ],
      ),
    ];
  },
  ({ domid, errno }) => ({ domid, rc: errno === null ? 0 : rcOf(errno) }),
);
