// SPDX-License-Identifier: Apache-2.0
//
// A process of dom0 that maps one page of a domain and keeps it until it is
// told to end: what makes a zombie of a destroyed domain.

import { assert, isFailure } from "../core/engine/errno.ts";
import type { Host } from "../core/engine/host.ts";
import { addMailbox, hasMessage, mailboxCell, post } from "../core/engine/mailbox.ts";
import { routine } from "../core/engine/routine.ts";
import { exitProcess, spawnProcess } from "../core/daemons/process.ts";
import { ownedFrames } from "../core/hypervisor/frames.ts";
import { mapForeign, unmapForeign } from "../core/hypervisor/memory-op.ts";
import { runsOf } from "../core/hypervisor/runs.ts";

const NAME = "holder";

const holder = routine(
  "holder",
  (a: { process: string; domid: number }) => ({ ...a, mfn: -1 }),
  ({ step, waitFor }) => [
    step("map a page", (host, l) => {
      // For a PV domain, which the scenarios have, frames are named by their machine numbers.
      const [first] = runsOf(host, ownedFrames(l.domid));
      assert(first !== undefined, `domain ${l.domid} has memory`);
      l.mfn = first.start;
      const mapped = mapForeign(host, { domid: 0, process: l.process }, { domid: l.domid, gfn: l.mfn });
      return isFailure(mapped) ? mapped : undefined;
    }),
    waitFor("keep it", (host) => hasMessage(host, NAME)),
    step("unmap it", (host, l) => {
      const unmapped = unmapForeign(host, { domid: 0, process: l.process }, { mfn: l.mfn });
      host.drop(mailboxCell, NAME);
      exitProcess(host, l.process, 0);
      return isFailure(unmapped) ? unmapped : undefined;
    }),
  ],
);

/** Starts the process `holder`, which maps the first page of a PV domain. One at a time. */
export function startHolder(host: Host, domid: number): void {
  addMailbox(host, NAME);
  spawnProcess(host, NAME, [NAME, String(domid)], holder, { domid });
}

/** Tells it to unmap the page and end. */
export function endHolder(host: Host): void {
  post(host, NAME, "end");
}
