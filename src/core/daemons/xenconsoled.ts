// SPDX-License-Identifier: Apache-2.0
//
// xenconsoled: finds domains by xenstored's special watches, their consoles by a
// watch on each, takes what they print (tools/console/daemon/io.c, utils.c).

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { DOMINF_dying, getdomaininfo } from "../hypervisor/dominfo.ts";
import { forEachDomain } from "../hypervisor/domain.ts";
import { close } from "../hypervisor/event-channel-op.ts";
import { unmapGrantRef } from "../hypervisor/grant-table-op.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { spawnProcess } from "./process.ts";
import { consoleCreateRing } from "./xenconsoled-ring.ts";
import {
  bufferAppend,
  consoleBufferCell,
  domainConsoleCell,
  takeOutput,
  XENCONSOLED,
  XENCONSOLED_CALLER,
} from "./xenconsoled-cells.ts";
import { xsHasEvent, xsOpen, xsReadWatch, xsTalk } from "./xs-client.ts";

/** The daemon: the domains it knows, the latest first, and how often it has listed them all. */
const daemonCell = cellType<{ domains: number[]; enumPass: number }>("xenconsoled");

function known(cells: Cells): readonly number[] {
  return must(cells, daemonCell, 0).domains;
}

/** Whether a known domain has printed something. */
function ringPending(cells: Cells, domid: number): boolean {
  const console = cells.get(domainConsoleCell, domid);
  return console !== undefined && console.localPort >= 0 && eventPending(cells, 0, console.localPort);
}

/** Takes what a domain has printed: into the log at once, then for whoever reads its terminal (handle_ring_read). */
function handleRingRead(host: Host, domid: number): void {
  const console = must(host, domainConsoleCell, domid);
  if (console.isDead || !consumeEvent(host, 0, console.localPort)) return;
  const text = takeOutput(host, console);
  if (text === "") return;
  if (console.log !== null) host.emit("console", { domid, log: console.log, text });
  bufferAppend(host, domid, console.maxCapacity, text);
}

/** Gives up the ring and the event channel of a domain that is dead. */
function unmapConsole(host: Host, domid: number): void {
  const console = host.edit(domainConsoleCell, domid);
  if (console.handle >= 0) unmapGrantRef(host, XENCONSOLED_CALLER, { handle: console.handle });
  if (console.localPort >= 0) close(host, XENCONSOLED_CALLER, { port: console.localPort });
  console.handle = -1;
  console.mfn = -1;
  console.localPort = -1;
}

const shutdownDomain = routine(
  "shutdown_domain",
  (a: { domid: number }) => ({ ...a, xspath: "" }),
  ({ step, call, attempt }) => [
    step("is_dead", (host, l) => {
      const console = host.edit(domainConsoleCell, l.domid);
      console.isDead = true;
      l.xspath = console.xspath;
    }),
    attempt([
      call("xs_unwatch", xsTalk, (l) => ({
        process: XENCONSOLED,
        t: 0,
        op: "UNWATCH" as const,
        payload: `${l.xspath}\0dom${l.domid}\0`,
      })),
    ]).onError(() => {}, []),
    step("console_unmap_interface", (host, l) => unmapConsole(host, l.domid)),
  ],
);

/** Watches a new domain's console and looks whether it is there already. */
const createDomain = routine(
  "create_domain",
  (a: { domid: number; pass: number }) => ({ ...a, xspath: "" }),
  ({ step, call, attempt }) => [
    attempt([
      call(
        "xs_get_domain_path",
        xsTalk,
        (l) => ({ process: XENCONSOLED, t: 0, op: "GET_DOMAIN_PATH" as const, payload: `${l.domid}\0` }),
        (l, reply) => {
          l.xspath = `${reply.split("\0")[0]}/console`;
        },
      ),
      step("calloc", (host, l) => {
        host.add(domainConsoleCell, l.domid, {
          xspath: l.xspath,
          isDead: false,
          lastSeen: l.pass,
          mfn: -1,
          handle: -1,
          localPort: -1,
          remotePort: -1,
          pty: -1,
          maxCapacity: 0,
          log: null,
        });
        host.add(consoleBufferCell, l.domid, { text: "" });
      }),
      call("xs_watch", xsTalk, (l) => ({
        process: XENCONSOLED,
        t: 0,
        op: "WATCH" as const,
        payload: `${l.xspath}\0dom${l.domid}\0`,
      })),
      call("console_create_ring", consoleCreateRing, (l) => ({ domid: l.domid })),
      step("dom_head", (host, l) => void host.edit(daemonCell, 0).domains.unshift(l.domid)),
    ]).onError(() => {}, [
      step("free", (host, l) => {
        if (host.get(domainConsoleCell, l.domid) !== undefined) host.drop(domainConsoleCell, l.domid);
        if (host.get(consoleBufferCell, l.domid) !== undefined) host.drop(consoleBufferCell, l.domid);
      }),
    ]),
  ],
);

interface Seen {
  readonly domid: number;
  readonly dying: boolean;
}

function listDomains(host: Host): Seen[] {
  const seen: Seen[] = [];
  for (const d of forEachDomain(host)) {
    if (d.domid > 0)
      seen.push({ domid: d.domid, dying: (getdomaininfo(host, host.now, d).flags & DOMINF_dying) !== 0 });
  }
  return seen;
}

/** Compares the domains the hypervisor has with those that are known (enum_domains). */
const enumDomains = routine(
  "enum_domains",
  () => ({ pass: 0, seen: [] as Seen[], domid: 0, dying: false, isKnown: false }),
  ({ step, each, call, when }) => [
    step("xc_domain_getinfo", (host, l) => {
      l.pass = ++host.edit(daemonCell, 0).enumPass;
      l.seen = listDomains(host);
    }),
    each(
      "domains",
      (l) => l.seen as unknown as { domid: number; dying: boolean }[],
      (l, { domid, dying }) => {
        l.domid = domid;
        l.dying = dying;
      },
      [
        step("lookup_domain", (host, l) => {
          l.isKnown = known(host).includes(l.domid);
          if (l.isKnown) host.edit(domainConsoleCell, l.domid).lastSeen = l.pass;
        }),
        when("dying and known", (l) => l.dying && l.isKnown, [
          call("shutdown_domain", shutdownDomain, (l) => ({ domid: l.domid })),
        ]),
        when("alive and new", (l) => !l.dying && !l.isKnown, [
          call("create_domain", createDomain, (l) => ({ domid: l.domid, pass: l.pass })),
        ]),
      ],
    ),
  ],
);

/** Domains that were not seen any more, and those that are dead. */
const sweep = routine(
  "cleanup_domains",
  () => ({ domains: [] as number[], domid: 0, gone: false, dead: false }),
  ({ step, each, call, when }) => [
    step("dom_head", (host, l) => {
      l.domains = known(host).filter((domid) => {
        const { isDead, lastSeen } = must(host, domainConsoleCell, domid);
        return isDead || lastSeen !== must(host, daemonCell, 0).enumPass;
      });
    }),
    each(
      "domains",
      (l) => l.domains,
      (l, domid) => {
        l.domid = domid;
      },
      [
        step("d->last_seen != enum_pass", (host, l) => {
          l.gone = !must(host, domainConsoleCell, l.domid).isDead;
        }),
        when("not seen", (l) => l.gone, [
          call("shutdown_domain", shutdownDomain, (l) => ({ domid: l.domid })),
        ]),
        step("cleanup_domain", (host, l) => {
          const daemon = host.edit(daemonCell, 0);
          daemon.domains = daemon.domains.filter((domid) => domid !== l.domid);
          host.drop(domainConsoleCell, l.domid);
          host.drop(consoleBufferCell, l.domid);
        }),
      ],
    ),
  ],
);

/** One watch event (handle_xs). */
const handleXs = routine(
  "handle_xs",
  () => ({ token: "", domid: -1, listAll: false }),
  ({ step, call, when }) => [
    step("xs_read_watch", (host, l) => {
      const event = xsReadWatch(host, XENCONSOLED);
      if (isFailure(event)) return event;
      l.listAll = event.token === "domlist";
      const domid = Number(/^dom(\d+)$/.exec(event.token)?.[1] ?? -1);
      const console = host.get(domainConsoleCell, domid);
      l.domid = console === undefined || console.isDead ? -1 : domid;
      return undefined;
    }),
    when(
      "domlist",
      (l) => l.listAll,
      [call("enum_domains", enumDomains, () => ({})), call("cleanup", sweep, () => ({}))],
      [
        when("a domain's", (l) => l.domid >= 0, [
          call("console_create_ring", consoleCreateRing, (l) => ({ domid: l.domid })),
        ]),
      ],
    ),
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
      (l, watch) => {
        l.watch = watch;
      },
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
      waitFor(
        "poll",
        (host) => xsHasEvent(host, XENCONSOLED) || known(host).some((domid) => ringPending(host, domid)),
      ),
      step("handle_console_ring", (host, l) => {
        for (const domid of known(host)) if (ringPending(host, domid)) handleRingRead(host, domid);
        l.event = xsHasEvent(host, XENCONSOLED);
      }),
      when("xs_fileno", (l) => l.event, [call("handle_xs", handleXs, () => ({}))]),
    ]),
  ],
);

/** Starts xenconsoled. xenstored must have been started. */
export function startXenconsoled(host: Host): void {
  host.add(daemonCell, 0, { domains: [], enumPass: 0 });
  spawnProcess(host, XENCONSOLED, ["xenconsoled", "--log=all"], xenconsoled, {});
}
