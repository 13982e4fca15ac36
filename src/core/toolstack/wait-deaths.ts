// SPDX-License-Identifier: Apache-2.0
//
// `xl shutdown -w`: waiting until domains have shut down, or until they are gone
// (tools/xl/xl_vmcontrol.c, wait_for_domain_deaths).

import { routine } from "../engine/routine.ts";
import { stderr } from "../daemons/process.ts";
import { unwatchDeaths, waitForDomainEvent } from "./domain-death.ts";
import type { DeathWatch, DomainEvent } from "./domain-death.ts";
import * as say from "./xl/messages.ts";
import type { Watch } from "./xs.ts";

/** Waits for the end of all those domains. With `untilShutdown` a shutdown is enough. */
export const waitForDeaths = routine(
  "wait_for_domain_deaths",
  (a: { process: string; watch: Watch; domids: readonly number[]; untilShutdown: boolean }) => ({
    ...a,
    waiting: a.domids.map((domid) => ({ domid, shutdownReported: false })) as DeathWatch[],
    domid: -1,
    event: { kind: "death" } as DomainEvent,
  }),
  ({ step, when, repeatUntil, call }) => [
    step("say so", (host, l) => stderr(host, l.process, say.waitingForDomains(l.domids.length))),
    when("any", (l) => l.waiting.length > 0, [
      repeatUntil("all ended", (l) => l.waiting.length === 0, [
        call(
          "wait",
          waitForDomainEvent,
          ({ process, watch, waiting }) => ({ process, watch, domains: waiting }),
          (l, found) => {
            l.domid = found.domid;
            l.event = found.event;
          },
        ),
        step("what happened", (host, l) => {
          const { domid, event } = l;
          const goesOn = event.kind === "shutdown" && !l.untilShutdown;
          stderr(
            host,
            l.process,
            event.kind === "death" ? say.domainDestroyed(domid) : say.domainShutDown(domid, event.reason),
          );
          if (goesOn) stderr(host, l.process, say.continueWaitingForDeath(domid));
          l.waiting = goesOn
            ? l.waiting.map((other) => (other.domid === domid ? { domid, shutdownReported: true } : other))
            : l.waiting.filter((other) => other.domid !== domid);
        }),
      ]),
    ]),
    call("unwatch", unwatchDeaths, ({ process, watch }) => ({ process, watch })),
  ],
);
