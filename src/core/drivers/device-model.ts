// SPDX-License-Identifier: Apache-2.0
//
// A QEMU that is still there when its domain has been destroyed: it maps the
// pages its IOREQ server shares with the hypervisor and some of the guest's
// memory (its map cache). That was the finding of the mail of 2005 about VMX
// domains that would not go, and libxl can lose one, too.

import { exitProcess, spawnProcess } from "../daemons/process.ts";
import type { Cells } from "../engine/cells.ts";
import { isFailure } from "../engine/errno.ts";
import { faultKind } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, mailboxCell, post } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import type { Caller } from "../hypervisor/caller.ts";
import { domainById } from "../hypervisor/domain.ts";
import { acquireIoreqFrames, createIoreqServer, destroyIoreqServer } from "../hypervisor/ioreq-op.ts";
import { mapFrame, unmapFrame } from "../hypervisor/mapping.ts";
import { mapForeign, unmapForeign } from "../hypervisor/memory-op.ts";

/** Guest frames its map cache begins with. */
const CACHED_GFNS = [0, 1, 2, 3];
/** HVM_IOREQSRV_BUFIOREQ_ATOMIC. */
const BUFIOREQ_ATOMIC = 2;
/** Pages of a server: buffered requests, requests. */
const IOREQ_PAGES = 2;

const nameOf = (domid: number): string => `qemu-dm-${domid}`;

interface DeviceModel {
  process: string;
  domid: number;
  server: number;
  ioreq: number[];
  cached: number[];
}

const callerOf = ({ process }: DeviceModel): Caller => ({ domid: 0, process });

function openDomain(host: Host, l: DeviceModel): void {
  const server = createIoreqServer(host, callerOf(l), {
    domid: l.domid,
    bufioreqHandling: BUFIOREQ_ATOMIC,
  });
  if (isFailure(server)) return;
  l.server = server;
  const { domid } = l;
  const frames = acquireIoreqFrames(host, callerOf(l), {
    domid,
    id: server,
    frame: 0,
    nrFrames: IOREQ_PAGES,
  });
  for (const mfn of isFailure(frames) ? [] : frames.mfns)
    if (mapFrame(host, 0, l.process, "foreign map", domid, mfn, false) === 0) l.ioreq.push(mfn);
  for (const gfn of CACHED_GFNS) {
    const mapped = mapForeign(host, callerOf(l), { domid, gfn });
    if (!isFailure(mapped)) l.cached.push(mapped.mfn);
  }
}

function closeDomain(host: Host, l: DeviceModel): void {
  for (const mfn of l.cached) unmapForeign(host, callerOf(l), { mfn });
  for (const mfn of l.ioreq) unmapFrame(host, 0, l.process, "foreign map", mfn, false);
  // A domain that is being killed has no server any more.
  if (l.server >= 0 && domainById(host, l.domid)?.isDying === "alive")
    destroyIoreqServer(host, callerOf(l), { domid: l.domid, id: l.server });
}

const deviceModel = routine(
  "qemu-system-i386",
  (a: { process: string; domid: number }): DeviceModel => ({ ...a, server: -1, ioreq: [], cached: [] }),
  ({ step, waitFor }) => [
    step("xen_hvm_init", openDomain),
    waitFor("main_loop_wait", (host, l) => hasMessage(host, l.process)),
    step("exit", (host, l) => {
      closeDomain(host, l);
      host.drop(mailboxCell, l.process);
      exitProcess(host, l.process, 0);
    }),
  ],
);

function refuse(cells: Cells, [domid = ""]: readonly string[]): string | null {
  const d = /^\d+$/.test(domid) ? domainById(cells, Number(domid)) : undefined;
  if (d === undefined) return `there is no domain ${domid}: xenolith xl list shows those there are`;
  if (d.type === "pv") return `domain ${domid} is a PV domain: it has no device model`;
  if (d.isDying !== "alive") return `domain ${domid} is dying: no QEMU can map it any more`;
  const ending = cells.get(mailboxCell, nameOf(Number(domid))) !== undefined;
  return ending ? `the QEMU of domain ${domid} has not ended yet: try again` : null;
}

faultKind({
  name: "keep-qemu",
  about: "a QEMU that nobody will stop maps this HVM domain's IOREQ pages and some of its memory",
  words: [{ name: "DOMID", about: "the domain it emulates devices for" }],
  example: ["1"],
  refuse,
  begin: (host, [word]) => {
    const domid = Number(word);
    const process = nameOf(domid);
    addMailbox(host, process);
    spawnProcess(host, process, ["qemu-system-i386", "-xen-domid", String(domid)], deviceModel, { domid });
  },
  end: (host, [word]) => {
    if (host.get(mailboxCell, nameOf(Number(word))) !== undefined)
      post(host, nameOf(Number(word)), "SIGTERM");
  },
});
