// SPDX-License-Identifier: Apache-2.0
//
// What Xen 4.17 itself printed in the recordings k1 and k3, for the same states.
import { expect, test } from "vitest";
import { must } from "../engine/cells.ts";
import type { Caller } from "./caller.ts";
import { domainPagesCell, ShutdownCode } from "./domain.ts";
import * as domctl from "./domctl.ts";
import { setvcpucontext } from "./domctl-vcpu.ts";
import * as evtchn from "./event-channel-op.ts";
import * as gnttab from "./grant-table-op.ts";
import { claimPages, mapForeign, mapSharedFrames, populatePhysmap, unmapForeign } from "./memory-op.ts";
import { consumeEvent } from "./port.ts";
import { schedopBlock, schedopShutdown } from "./sched-op.ts";
import { debugKeys, readconsole } from "./sysctl.ts";
import { TestHost, xl } from "./testing.ts";
import { VIRQ_TIMER } from "./virq.ts";
import {
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_runstate_update_flag,
  VMASST_TYPE_writable_pagetables,
  vmAssist,
} from "./vm-assist.ts";

const xenstored: Caller = { domid: 0, process: "xenstored" };
const xenconsoled: Caller = { domid: 0, process: "xenconsoled" };
const HANDLE = "6953b909a99c45a5ae9f9aa41647a7e9";

/** What Linux switches on (arch/x86/xen/setup.c, enlighten_pv.c). */
const LINUX_ASSISTS = [
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_writable_pagetables,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_runstate_update_flag,
];

/** Brings a PV Linux guest as far as the recordings' guests were: rings mapped, kernel up and idle. */
function guestUp(t: TestHost): { domid: number; handles: number[]; ports: number[]; mfn: number } {
  return t.act((host) => {
    const made = domctl.createdomain(host, xl, { handle: HANDLE, ssidref: 12 });
    if ("errno" in made) throw new Error(made.errno);
    const { domid } = made;
    domctl.maxVcpus(host, xl, { domid, max: 1 });
    domctl.maxMem(host, xl, { domid, maxMemkb: 99328 });
    evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 });
    evtchn.allocUnbound(host, xl, { domid, remoteDomid: 0 });
    claimPages(host, xl, { domid, nr: 24576 });
    const gpfns = Array.from({ length: 48 }, (_, i) => i * 512);
    const populated = populatePhysmap(host, xl, { domid, gpfns, order: 9 });
    if ("errno" in populated) throw new Error(populated.errno);
    claimPages(host, xl, { domid, nr: 0 });
    const mfn = populated.mfns[0] as number;
    gnttab.grantAccess(host, domid, 0, 0, mfn + 2);
    gnttab.grantAccess(host, domid, 1, 0, mfn + 1);
    setvcpucontext(host, xl, { domid, vcpu: 0, context: { online: true } });
    const store = gnttab.mapGrantRef(host, xenstored, { domid, ref: 1 });
    const console = gnttab.mapGrantRef(host, xenconsoled, { domid, ref: 0 });
    const ports = [
      evtchn.bindInterdomain(host, xenstored, { remoteDomid: domid, remotePort: 1 }),
      evtchn.bindInterdomain(host, xenconsoled, { remoteDomid: domid, remotePort: 2 }),
    ].map((bound) => ("errno" in bound ? -1 : bound.port));
    for (const port of ports) consumeEvent(host, 0, port);
    domctl.unpausedomain(host, xl, domid);
    const kernel = { domid, process: "kernel" };
    mapSharedFrames(host, kernel);
    evtchn.initControl(host, kernel);
    for (const type of LINUX_ASSISTS) vmAssist(host, kernel, { type, enable: true });
    evtchn.bindVirq(host, kernel, { virq: VIRQ_TIMER, vcpu: 0 });
    for (let i = 0; i < 4; i++) evtchn.bindIpi(host, kernel, { vcpu: 0 });
    evtchn.send(host, kernel, { port: 4 });
    consumeEvent(host, domid, 4);
    schedopBlock(host, kernel, { vcpu: 0 });
    return { domid, handles: [store.handle, console.handle], ports, mfn };
  });
}

/** What a key prints about domain 1: everything between its first line and the next domain's or the end. */
function pressed(t: TestHost, key: string, from: RegExp): string[] {
  return t.act((host) => {
    const before = readconsole(host, xl);
    if ("errno" in before) throw new Error(before.errno);
    debugKeys(host, xl, { keys: key });
    const after = readconsole(host, xl, { index: before.index });
    if ("errno" in after) throw new Error(after.errno);
    const lines = after.text.trimEnd().split("\n");
    expect(lines.every((line) => line.startsWith("(XEN) "))).toBe(true);
    const body = lines.map((line) => line.slice("(XEN) ".length));
    const end = body.findIndex((line) => /^Notifying|^gnttab_usage_print_all \] done/.test(line));
    return body.slice(
      body.findIndex((line) => from.test(line)),
      end < 0 ? undefined : end,
    );
  });
}

/** Frame numbers are the machine's own. */
function framesMasked(lines: string[]): string[] {
  return lines.map((line) =>
    line.replace(/(DomPage|XenPage) [0-9a-f]{16}/, "$1 FRAME").replace(/0x1[0-9a-f]{5}\b/g, "FRAME"),
  );
}

test("key q of a running domain", () => {
  const t = new TestHost();
  guestUp(t);
  expect(framesMasked(pressed(t, "q", /^General information for domain 1:/))).toEqual(
    `General information for domain 1:
    refcnt=3 dying=0 pause_count=0
    nr_pages=24576 xenheap_pages=2 dirty_cpus={} max_pages=24832
    handle=6953b909-a99c-45a5-ae9f-9aa41647a7e9 vm_assist=0000002d
Rangesets belonging to domain 1:
    Interrupts { }
    I/O Memory { }
    I/O Ports  { }
    log-dirty  { }
Memory pages belonging to domain 1:
    DomPage list too long to display
    XenPage FRAME: caf=c000000000000002, taf=e400000000000002
    XenPage FRAME: caf=c000000000000002, taf=e400000000000002
NODE affinity for domain 1: [0]
VCPU information and callbacks for domain 1:
  UNIT0 affinities: hard={0-1} soft={0-1}
    VCPU0: CPU0 [has=F] poll=0 upcall_pend=00 upcall_mask=00 
    pause_count=0 pause_flags=1
No periodic timer`.split("\n"),
  );
});

test("key g: who maps which grants", () => {
  const t = new TestHost();
  guestUp(t);
  const before = pressed(t, "g", /^grant-table for remote d1/);
  expect(framesMasked(before)).toEqual([
    "grant-table for remote d1 (v1)",
    "  1 frames (64 max), 0 maptrack frames (1024 max)",
    "[0x000]      0 FRAME 0x00000001          0 FRAME 0x19",
    "[0x001]      0 FRAME 0x00000001          0 FRAME 0x19",
  ]);
});

test("key e: channels with both ends", () => {
  const t = new TestHost();
  const { ports } = guestUp(t);
  expect(pressed(t, "e", /^Event channel information for domain 1:/)).toEqual([
    "Event channel information for domain 1:",
    "Polling vCPUs: {}",
    "    port [p/m/s]",
    `       1 [0/0/  -   ]: s=3 n=0 x=0 d=0 p=${ports[0]}`,
    `       2 [0/0/  -   ]: s=3 n=0 x=0 d=0 p=${ports[1]}`,
    "       3 [0/0/  -   ]: s=5 n=0 x=0 v=0",
    "       4 [0/0/  -   ]: s=6 n=0 x=0",
    "       5 [0/0/  -   ]: s=6 n=0 x=0",
    "       6 [0/0/  -   ]: s=6 n=0 x=0",
    "       7 [0/0/  -   ]: s=6 n=0 x=0",
  ]);
});

/** xl destroy, and what the daemons do about it. */
function destroyed(t: TestHost, { domid, handles, ports }: ReturnType<typeof guestUp>): void {
  t.act((host) => domctl.pausedomain(host, xl, domid));
  t.destroy(domid);
  t.settle();
  t.act((host) => {
    gnttab.unmapGrantRef(host, xenstored, { handle: handles[0] as number });
    gnttab.unmapGrantRef(host, xenconsoled, { handle: handles[1] as number });
    for (const port of ports) evtchn.close(host, xl, { port });
  });
}

const zombie = (pages: string[], counts: string): string[] => [
  "General information for domain 1:",
  "    refcnt=1 dying=2 pause_count=2",
  `    ${counts} dirty_cpus={} max_pages=24832`,
  "    handle=6953b909-a99c-45a5-ae9f-9aa41647a7e9 vm_assist=0000002d",
  "Rangesets belonging to domain 1:",
  "    Interrupts { }",
  "    I/O Memory { }",
  "    I/O Ports  { }",
  "    log-dirty  { }",
  "Memory pages belonging to domain 1:",
  ...pages,
  "NODE affinity for domain 1: [0]",
  "VCPU information and callbacks for domain 1:",
  "  UNIT0 affinities: hard={0-1} soft={0-1}",
  "    VCPU0: CPU0 [has=F] poll=0 upcall_pend=00 upcall_mask=01 ",
  "    pause_count=0 pause_flags=0",
  "No periodic timer",
];

test("a domain held by a foreign mapping (recording k1), until it is unmapped", () => {
  const t = new TestHost();
  const guest = guestUp(t);
  const holdmap = { domid: 0, process: "holdmap" };
  const gfn = guest.mfn + 256;
  t.act((host) => mapForeign(host, holdmap, { domid: guest.domid, gfn }));
  destroyed(t, guest);
  expect(
    framesMasked(pressed(t, "q", /^General information for domain 1:/)).map((line) =>
      line.replace(/pause_flags=\d/, "pause_flags=0"),
    ),
  ).toEqual(zombie(["    DomPage FRAME: caf=00000001, taf=e400000000000001"], "nr_pages=1 xenheap_pages=0"));
  expect(pressed(t, "g", /^grant-table for remote d1/).at(-1)).toBe("no active grant table entries");
  t.act((host) => unmapForeign(host, holdmap, { mfn: gfn }));
  t.settle();
  expect(pressed(t, "q", /^General information for domain 1:/)).toHaveLength(0);
});

test("a domain held by its mapped shared_info (recording k3)", () => {
  const t = new TestHost();
  const guest = guestUp(t);
  const { sharedInfo } = must(t.world, domainPagesCell, guest.domid);
  t.act((host) =>
    mapForeign(host, { domid: 0, process: "holdmap" }, { domid: guest.domid, gfn: sharedInfo }),
  );
  destroyed(t, guest);
  expect(
    framesMasked(pressed(t, "q", /^General information for domain 1:/)).map((line) =>
      line.replace(/pause_flags=\d/, "pause_flags=0"),
    ),
  ).toEqual(
    zombie(["    XenPage FRAME: caf=4000000000000001, taf=e400000000000002"], "nr_pages=0 xenheap_pages=1"),
  );
});

test("a dead domain prints at most 16 writable pages", () => {
  const t = new TestHost();
  const guest = guestUp(t);
  t.act((host) => {
    for (let i = 0; i < 40; i++)
      mapForeign(host, { domid: 0, process: "qemu" }, { domid: guest.domid, gfn: guest.mfn + 100 + i });
    schedopShutdown(host, { domid: guest.domid, process: "kernel" }, { reason: ShutdownCode.crash });
  });
  destroyed(t, guest);
  const lines = pressed(t, "q", /^General information for domain 1:/);
  expect(lines.filter((line) => line.startsWith("    DomPage"))).toHaveLength(16);
  expect(lines[2]).toContain("nr_pages=40 ");
});
