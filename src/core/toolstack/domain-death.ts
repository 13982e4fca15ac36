// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a domain's end: at every @releaseDomain libxl asks Xen about the
// domain (tools/libs/light/libxl_domain.c, domain_death_xswatch_callback). What
// the watch says is only "look".

import { fail, isFailure, present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { xsEventPending, xsTakeEvent } from "../daemons/xs-client.ts";
import { domainInfo } from "./dominfo.ts";
import { ERROR_DOMAIN_NOTFOUND, ERROR_FAIL } from "./rc.ts";
import { xsUnwatch, xsWatch } from "./xs.ts";
import type { Watch } from "./xs.ts";

/** What happened to a domain: it was shut down, for a reason, or it is dead or gone. */
export type DomainEvent = { kind: "shutdown"; reason: number } | { kind: "death" };

/** A domain that is waited for; its shutdown is reported once. */
export type DeathWatch = { domid: number; shutdownReported: boolean };

/** Begins to watch for ends of domains (libxl_evenable_domain_death): one watch for however many. */
export const watchDeaths = routine(
  "libxl_evenable_domain_death",
  (a: { process: string }) => ({ ...a, watch: null as Watch | null }),
  ({ call }) => [
    call(
      "watch",
      xsWatch,
      ({ process }) => ({ process, path: "@releaseDomain" }),
      (l, watch) => void (l.watch = watch),
    ),
  ],
  (l) => present(l.watch),
);

/** Ends that (libxl_evdisable_domain_death). */
export const unwatchDeaths = routine(
  "libxl_evdisable_domain_death",
  (a: { process: string; watch: Watch }) => ({ ...a }),
  ({ call }) => [call("unwatch", xsUnwatch, ({ process, watch }) => ({ process, watch }))],
);

/** Waits until something has happened to one of the domains; which, and what. */
export const waitForDomainEvent = routine(
  "libxl_event_wait",
  (a: { process: string; watch: Watch; domains: readonly DeathWatch[] }) => ({
    ...a,
    asked: null as DeathWatch | null,
    found: null as { domid: number; event: DomainEvent } | null,
  }),
  ({ repeatUntil, waitFor, step, each, when }) => [
    repeatUntil("something happened", (l) => l.found !== null, [
      waitFor("@releaseDomain", (host, l) => xsEventPending(host, l.process, l.watch.token)),
      step("take event", (host, l) => {
        const event = xsTakeEvent(host, l.process, l.watch.token);
        return isFailure(event) ? event : undefined;
      }),
      each(
        "domain",
        (l) => l.domains,
        (l, asked) => void (l.asked = asked),
        [
          when("nothing found yet", (l) => l.found === null, [
            step("getdomaininfolist", (host, l) => {
              const { domid, shutdownReported } = present(l.asked);
              const info = domainInfo(host, l.process, domid);
              if (isFailure(info) && info.errno !== ERROR_DOMAIN_NOTFOUND) return fail(ERROR_FAIL);
              if (isFailure(info) || info.dying) l.found = { domid, event: { kind: "death" } };
              else if (info.shutdown && !shutdownReported) {
                l.found = { domid, event: { kind: "shutdown", reason: info.shutdownCode } };
              }
              return;
            }),
          ]),
        ],
      ),
    ]),
  ],
  (l) => l.found as { domid: number; event: DomainEvent },
);
