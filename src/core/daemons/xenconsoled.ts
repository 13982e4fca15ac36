// SPDX-License-Identifier: Apache-2.0
//
// xenconsoled: finds domains by xenstored's special watches, their consoles by a
// watch on each, takes what they print (tools/console/daemon/io.c, utils.c).

import { must } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { spawnProcess } from "./process.ts";
import {
  bufferAppend,
  consolePortCell,
  domainConsoleCell,
  takeOutput,
  XENCONSOLED,
  XENCONSOLED_EVENTS,
} from "./xenconsoled-cells.ts";
import { enumDomains, isWatched } from "./xenconsoled-domains.ts";
import { consoleCreateRing } from "./xenconsoled-ring.ts";
import { xsHasEvent, xsOpen, xsReadWatch, xsTalk } from "./xs-client.ts";

/** Takes what a domain has printed: into the log at once, then for whoever reads its terminal. */
function handleRingRead(host: Host, domid: number): void {
  const console = must(host, domainConsoleCell, domid);
  if (console.isDead || console.mfn < 0) return;
  const text = takeOutput(host, console);
  if (text === "") return;
  if (console.log !== null) host.emit("console", { domid, log: console.log, text });
  bufferAppend(host, domid, console.maxCapacity, text);
}

/** One watch event. */
const handleXs = routine(
  "handle_xs",
  () => ({ domid: -1, listAll: false }),
  ({ step, call, when }) => [
    step("xs_read_watch", (host, l) => {
      const event = xsReadWatch(host, XENCONSOLED);
      if (isFailure(event)) return event;
      l.listAll = event.token === "domlist";
      const domid = Number(/^dom(\d+)$/.exec(event.token)?.[1] ?? -1);
      l.domid = domid >= 0 && isWatched(host, domid) ? domid : -1;
      return undefined;
    }),
    when("domlist", (l) => l.listAll, [call("enum_domains", enumDomains, () => ({}))]),
    when("a domain's", (l) => l.domid >= 0, [
      call("console_create_ring", consoleCreateRing, (l) => ({ domid: l.domid })),
    ]),
  ],
);

const specialWatches = ["@introduceDomain", "@releaseDomain"];

const xenconsoled = routine(
  "xenconsoled",
  () => ({ watch: "", event: false }),
  ({ step, each, call, forever, waitFor, when }) => [
    step("xs_open", (host) => xsOpen(host, XENCONSOLED)),
    each(
      "xen_setup",
      () => specialWatches,
      (l, watch) => void (l.watch = watch),
      [
        call("xs_watch", xsTalk, (l) => ({
          process: XENCONSOLED,
          t: 0,
          op: "WATCH" as const,
          payload: `${l.watch}\0domlist\0`,
        })),
      ],
    ),
    call("enum_domains", enumDomains, () => ({})),
    forever("handle_io", [
      waitFor("poll", (host) => xsHasEvent(host, XENCONSOLED) || hasMessage(host, XENCONSOLED_EVENTS)),
      step("handle_console_ring", (host, l) => {
        const port = takeMessage(host, XENCONSOLED_EVENTS) as number | undefined;
        const domid = port === undefined ? undefined : host.get(consolePortCell, port)?.domid;
        if (domid !== undefined) handleRingRead(host, domid);
        l.event = xsHasEvent(host, XENCONSOLED);
      }),
      when("xs_fileno", (l) => l.event, [call("handle_xs", handleXs, () => ({}))]),
    ]),
  ],
);

/** Starts xenconsoled. xenstored must have been started. */
export function startXenconsoled(host: Host): void {
  addMailbox(host, XENCONSOLED_EVENTS);
  spawnProcess(host, XENCONSOLED, ["xenconsoled", "--log=all"], xenconsoled, {});
}
