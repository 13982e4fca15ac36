// SPDX-License-Identifier: Apache-2.0
//
// The domains xenconsoled knows: comparing them with those the hypervisor has,
// taking up new ones, letting go of dead ones (tools/console/daemon/io.c,
// enum_domains, create_domain, shutdown_domain, cleanup_domain).

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { bitmap, clearBit, differenceOf, findNextBit, setBit, testBit } from "../hypervisor/bitmap.ts";
import { deadDomains, domlist } from "../hypervisor/domain.ts";
import { gntdevUnmap } from "../hypervisor/gntdev.ts";
import {
  consoleBufferCell,
  domainConsoleCell,
  releasePty,
  XENCONSOLED,
  XENCONSOLED_CALLER,
} from "./xenconsoled-cells.ts";
import { consoleCreateRing, unbindPort } from "./xenconsoled-ring.ts";
import { xsTalk } from "./xs-client.ts";

/** Domains it has taken up (`dom_head`). */
const known = bitmap("xenconsoled-domains", 3);

/** Whether a watch event of that domain still matters. */
export function isWatched(cells: Cells, domid: number): boolean {
  return testBit(cells, known, domid) && !must(cells, domainConsoleCell, domid).isDead;
}

/** Gives up the ring and the event channel of a domain that is dead (console_unmap_interface, console_close_evtchn). */
function unmapConsole(host: Host, domid: number): void {
  const console = host.edit(domainConsoleCell, domid);
  if (console.handle >= 0) gntdevUnmap(host, XENCONSOLED_CALLER, [console.handle]);
  unbindPort(host, console);
  console.handle = -1;
  console.mfn = -1;
}

/** Forgets a domain, its terminal too. */
function cleanupDomain(host: Host, domid: number): void {
  const { pty } = must(host, domainConsoleCell, domid);
  if (pty >= 0) releasePty(host, domid, pty);
  host.drop(domainConsoleCell, domid);
  host.drop(consoleBufferCell, domid);
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
    step("cleanup_domain", (host, l) => {
      clearBit(host, known, l.domid);
      cleanupDomain(host, l.domid);
    }),
  ],
);

function addConsole(host: Host, domid: number, xspath: string): void {
  host.add(domainConsoleCell, domid, {
    xspath,
    isDead: false,
    mfn: -1,
    handle: -1,
    localPort: -1,
    remotePort: -1,
    pty: -1,
    maxCapacity: 0,
    log: null,
  });
  host.add(consoleBufferCell, domid, { text: "" });
}

/** Watches a new domain's console and looks whether it is there already. */
const createDomain = routine(
  "create_domain",
  (a: { domid: number }) => ({ ...a, xspath: "" }),
  ({ step, call, attempt }) => [
    attempt([
      call(
        "xs_get_domain_path",
        xsTalk,
        (l) => ({ process: XENCONSOLED, t: 0, op: "GET_DOMAIN_PATH" as const, payload: `${l.domid}\0` }),
        (l, reply) => void (l.xspath = `${reply.split("\0")[0]}/console`),
      ),
      step("calloc", (host, l) => addConsole(host, l.domid, l.xspath)),
      call("xs_watch", xsTalk, (l) => ({
        process: XENCONSOLED,
        t: 0,
        op: "WATCH" as const,
        payload: `${l.xspath}\0dom${l.domid}\0`,
      })),
      call("console_create_ring", consoleCreateRing, (l) => ({ domid: l.domid })),
      step("dom_head", (host, l) => setBit(host, known, l.domid)),
    ]).onError(() => {}, [
      step("free", (host, l) => {
        if (host.get(domainConsoleCell, l.domid) !== undefined) cleanupDomain(host, l.domid);
      }),
    ]),
  ],
);

/**
 * Domains to take up and domains to let go of: those that are dead, and those
 * that are not there any more. xenconsoled asks about each domain there is; what
 * it would find is in the bitmaps, 32 domains a look.
 */
function compare(cells: Cells): { fresh: number[]; gone: number[] } {
  const fresh = differenceOf(cells, domlist, known).filter(
    (domid) => domid > 0 && !testBit(cells, deadDomains, domid),
  );
  const dead: number[] = [];
  for (
    let domid = findNextBit(cells, deadDomains, 1);
    domid >= 0;
    domid = findNextBit(cells, deadDomains, domid + 1)
  ) {
    if (testBit(cells, known, domid)) dead.push(domid);
  }
  const gone = [...differenceOf(cells, known, domlist), ...dead].toSorted((a, b) => a - b);
  return { fresh, gone };
}

/** Asks the hypervisor for all domains and follows it. */
export const enumDomains = routine(
  "enum_domains",
  () => ({ fresh: [] as number[], gone: [] as number[], domid: 0 }),
  ({ step, each, call }) => [
    step("xc_domain_getinfo", (host, l) => void Object.assign(l, compare(host))),
    each(
      "new domains",
      (l) => l.fresh,
      (l, domid) => void (l.domid = domid),
      [call("create_domain", createDomain, (l) => ({ domid: l.domid }))],
    ),
    each(
      "dead domains",
      (l) => l.gone,
      (l, domid) => void (l.domid = domid),
      [call("shutdown_domain", shutdownDomain, (l) => ({ domid: l.domid }))],
    ),
  ],
);
