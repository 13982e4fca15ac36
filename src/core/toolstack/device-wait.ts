// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the other end: libxl watches a node and looks at it at every
// event, until it says what was hoped for or time is up
// (tools/libs/light/libxl_aoutils.c, libxl_event.c).

import { isFailure, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Host } from "../engine/host.ts";
import { contextLock } from "./libxl-ctx.ts";
import { libxlDebug } from "./log.ts";
import { ERROR_INVAL, ERROR_TIMEDOUT } from "./rc.ts";
import { xsEventPending, xsTakeEvent } from "../daemons/xs-client.ts";
import { xsRead, xsUnwatch } from "./xs.ts";
import type { Watch } from "./xs.ts";

/** What a wait is over with. */
export type Hope =
  /** A device's state: ERROR_INVAL where the node is gone. */
  | { state: string }
  /** Any value but the empty one. */
  | { nonempty: true }
  /** Any value but this one; a node that is gone counts as answered. */
  | { not: string }
  /** The empty value; a node that is gone counts as answered. */
  | { empty: true }
  /** No such node. */
  | { gone: true };

function isOver(hope: Hope, value: string | null): boolean {
  if ("state" in hope) return value === null || value === hope.state;
  if ("gone" in hope) return value === null;
  if ("nonempty" in hope) return value !== null && value !== "";
  if ("empty" in hope) return value === null || value === "";
  return value !== hope.not;
}

function sayDevstate(host: Host, process: string, path: string, wanted: string, state: string): void {
  const [line, found] = state === wanted ? [1051, "ok"] : [1054, `still waiting state ${state}`];
  const text = `backend ${path} wanted state ${wanted} ${found}`;
  libxlDebug(host, process, `libxl_event.c:${line}:devstate_callback`, text);
}

/**
 * Waits on a watch until its node says what is hoped for, and takes the watch
 * back. The value it then has, or null where it is gone.
 *
 * @param timeout microseconds until the wait fails with ERROR_TIMEDOUT
 */
export const waitForNode = routine(
  "libxl__xswait",
  (a: { process: string; watch: Watch; hope: Hope; timeout: number }) => ({
    ...a,
    deadline: 0,
    left: a.timeout,
    event: true,
    over: false,
    value: null as string | null,
    errno: null as Errno | null,
  }),
  ({ step, repeatUntil, waitFor, when, locked, call, failWith }) => [
    step("start timer", (host, l) => void (l.deadline = host.now + l.timeout), { unseen: true }),
    repeatUntil("over", (l) => l.over, [
      step("time left", (host, l) => void (l.left = l.deadline - host.now), { unseen: true }),
      waitFor("event", (host, l) => xsEventPending(host, l.process, l.watch.token), {
        timeout: (l) => l.left,
        timedOut: (l) => void (l.errno = ERROR_TIMEDOUT),
        unseen: true,
      }),
      locked("callback", (l) => contextLock(l.process), [
        when("event came", (l) => l.errno === null, [
          step("take event", (host, l) => {
            const event = xsTakeEvent(host, l.process, l.watch.token);
            return isFailure(event) ? event : undefined;
          }),
          call(
            "read",
            xsRead,
            (l) => ({ process: l.process, path: l.watch.path }),
            (l, value) => void (l.value = value),
          ),
        ]),
        step(
          "look",
          (host, l) => {
            l.over = l.errno !== null || isOver(l.hope, l.value);
            if (l.errno === null && "state" in l.hope && l.value !== null)
              sayDevstate(host, l.process, l.watch.path, l.hope.state, l.value);
            if (l.errno === null && "state" in l.hope && l.value === null) l.errno = ERROR_INVAL;
          },
          { unseen: true },
        ),
        when("was over", (l) => l.over, [
          call("unwatch", xsUnwatch, (l) => ({ process: l.process, watch: l.watch })),
        ]),
      ]),
    ]),
    when("not as hoped", (l) => l.errno !== null, [failWith("give up", (l) => present(l.errno))]),
  ],
  (l) => l.value,
);
