// SPDX-License-Identifier: Apache-2.0
//
// Pausing and unpausing, as libxl does it (tools/libs/light/libxl_domain.c).

import { isFailure } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { pausedomain, unpausedomain } from "../hypervisor/domctl.ts";
import { domainType } from "./dominfo.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported } from "./log.ts";
import { sameDomain } from "./same.ts";

/** Pauses a domain once more. */
export const domainPause = routine(
  "libxl_domain_pause",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ step }) => [
    step("pausedomain", (host, l) => {
      const paused = pausedomain(host, dom0(l.process), l.domid);
      if (!isFailure(paused)) return undefined;
      return reported(
        host,
        l.process,
        "libxl_domain.c:587:libxl_domain_pause",
        "Pausing domain",
        paused,
        l.domid,
      );
    }),
  ],
);

/** Takes back one pause. */
export const domainUnpause = routine(
  "libxl_domain_unpause",
  (a: { process: string; domid: number }) => ({ ...a }),
  ({ call, step }) => [
    call("libxl__domain_type", domainType, sameDomain),
    step("unpausedomain", (host, l) => {
      const unpaused = unpausedomain(host, dom0(l.process), l.domid);
      if (!isFailure(unpaused)) return undefined;
      return reported(
        host,
        l.process,
        "libxl_domain.c:688:domain_unpause_done",
        "Unpausing domain",
        unpaused,
        l.domid,
      );
    }),
  ],
);
