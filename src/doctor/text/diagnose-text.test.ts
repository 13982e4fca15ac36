// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CONRING_SIZE, readConsoleRing } from "../../core/hypervisor/console-ring.ts";
import { handleKeypress } from "../../core/hypervisor/debug-keys.ts";
import * as domctl from "../../core/hypervisor/domctl.ts";
import { ownedFrames } from "../../core/hypervisor/frames.ts";
import { mapForeign, populatePhysmap } from "../../core/hypervisor/memory-op.ts";
import { runsOf } from "../../core/hypervisor/runs.ts";
import { TestHost, xl } from "../../core/hypervisor/testing.ts";
import { words } from "../words.ts";
import { diagnose } from "../diagnose.ts";
import { diagnoseText, dyingInText } from "./diagnose-text.ts";
import { readText, saysAnything } from "./evidence.ts";

const recordings = new URL("../../../test/golden/recordings/", import.meta.url);

function recorded(scenario: string, ...keys: string[]): string {
  return keys
    .map((key) => readFileSync(new URL(`${scenario}/debugkey-${key}-zombie.txt`, recordings), "utf8"))
    .join("");
}

describe("real Xen's zombies", () => {
  test("k1: a page that no grant explains is a foreign mapping", () => {
    const evidence = readText(recorded("k1-zombie-foreign-map", "q", "g"));
    expect(dyingInText(evidence)).toEqual([1]);
    const found = diagnoseText(evidence, 1);
    expect(found).toMatchObject({
      stage: "zombie",
      counts: { refcnt: 1, nrPages: 1, xenheapPages: 0 },
      holders: [
        {
          certainty: "inferred",
          name: "foreign map",
          holdings: [{ kind: "foreign map", count: 1, frames: [0x134100] }],
        },
      ],
      missing: ["xl list", "kernel stacks of domain 0's threads in state D"],
    });
    expect(found.next[0]).toBe("grep -l xen/privcmd /proc/[0-9]*/maps");
    expect(words(found)[0]).toBe(
      "Domain 1 is a zombie: the kill has finished, and a program that maps its memory still holds 1 page.",
    );
  });

  test("k3: nothing left but a page that Xen shared with it", () => {
    const evidence = readText(recorded("k3-zombie-sharedinfo", "q", "g"));
    const [domid = 0] = dyingInText(evidence);
    expect(diagnoseText(evidence, domid)).toMatchObject({
      counts: { refcnt: 1, nrPages: 0, xenheapPages: 1 },
      holders: [{ name: "xenheap", holdings: [{ frames: [0x7fda7] }] }],
    });
  });
});

describe("what is missing is never none", () => {
  const q = recorded("k1-zombie-foreign-map", "q");
  const g = recorded("k1-zombie-foreign-map", "g");
  const missing = (text: string): string[] => diagnoseText(readText(text), 1).missing;

  test("without key g nobody is accused, and it is said that grants are unknown", () => {
    const found = diagnoseText(readText(q), 1);
    expect(found.holders).toEqual([]);
    expect(found.missing).toContain(
      "debug key g: which grants are mapped is not known, which does not mean none",
    );
    expect(found.next).toContain("xl dmesg -c >/dev/null; xl debug-keys g; xl dmesg");
  });

  test("a console ring that wrapped", () => {
    const half = q.slice(q.indexOf("General information for domain 1"));
    expect(missing(half + g)).toContain(
      "the beginning of debug key q's output: the console ring has wrapped, and domains may be lost",
    );
    const cut = g.slice(g.indexOf("grant-table for remote d1"));
    expect(missing(q + cut)).toContain(
      "a part of debug key g's output: grants that are not listed may be mapped all the same",
    );
    expect(diagnoseText(readText(half + g), 1).next.join("; ")).toContain("conring_size=1M");
  });

  test("a domain that the text does not name", () => {
    expect(words(diagnoseText(readText(q + g), 9))[0]).toBe(
      "Nothing is known of domain 9: the text does not name it.",
    );
  });

  test.each([
    ["with Windows' line ends", "\r", (line: string) => line],
    ["by the serial log's time", "", (line: string) => line.replace("(XEN)", "[2026-11-28 12:00:00] (XEN)")],
    ["by syslog", "", (line: string) => line.replace("(XEN)", "Nov 28 12:00:00 host xen: (XEN)")],
    ["by mail", "", (line: string) => `> > ${line}`],
    ["in a terminal's colours", "", (line: string) => `\u001b[0;32m${line}\u001b[0m`],
  ])("k1, passed on %s, says the same", (_, end, passedOn) => {
    const text = recorded("k1-zombie-foreign-map", "q", "g");
    const lines = text.split("\n").map((line) => passedOn(line) + end);
    const found = diagnoseText(readText(lines.join("\n")), 1);
    expect(found).toEqual(diagnoseText(readText(text), 1));
    expect(found.counts?.refcnt).toBe(1);
  });

  test("text that is no evidence", () => {
    expect(saysAnything(readText("hello\n(XEN) nothing of interest\n"))).toBe(false);
  });
});

test("dom0's own words: a stalled xenwatch, its stack, the lost packet", () => {
  const text = [
    "Name                                        ID   Mem VCPUs\tState\tTime(s)",
    "Domain-0                                     0   799     4     r-----      50.2",
    "(null)                                       2     0     2     --p--d      24.8",
    "  PID TTY      STAT   TIME COMMAND",
    "   38 ?        D      0:00 [xenwatch]",
    "[<0>] kthread_stop",
    "[<0>] xenvif_disconnect_data",
    "[<0>] set_backend_state",
    "[<0>] frontend_changed",
    "[<0>] xenwatch_thread",
    "[<0>] kthread",
    "[<0>] 0xffffffffffffffff",
    "NIC statistics:",
    "     tx_zerocopy_sent: 72518",
    "     tx_zerocopy_success: 0",
    "     tx_zerocopy_fail: 72517",
    "(XEN) [1.5] 'q' pressed -> dumping domain info (now = 1)",
    "(XEN) General information for domain 2:",
    "(XEN)     refcnt=1 dying=2 pause_count=2",
    "(XEN)     nr_pages=1 xenheap_pages=0 dirty_cpus={} max_pages=24832",
    "(XEN)     handle=deadbeef-dead-beef-dead-beef00000002 vm_assist=0000002d",
    "(XEN)     DomPage 0000000000134100: caf=00000001, taf=0000000000000000",
    "(XEN) Shared frames 0 -- Saved frames 0",
    "(XEN) gnttab_usage_print_all [ key 'g' pressed",
    "(XEN) grant-table for remote d2 (v1)",
    "(XEN) [0x207]      0 0x134100 0x00000100          0 0x134100 0x1d",
    "(XEN) gnttab_usage_print_all ] done",
  ].join("\n");
  const found = diagnoseText(readText(text), 2);
  expect(found).toMatchObject({
    name: null,
    stage: "zombie",
    state: "--p--d",
    holders: [
      {
        certainty: "shown",
        who: "domain 0",
        holdings: [{ kind: "grant map", count: 1, frames: [0x134100], grants: [0x207] }],
        chain: [{ thread: "[xenwatch] (pid 38)", routine: "xenvif_disconnect_data", at: "kthread_stop" }],
      },
    ],
    stalled: [{ thread: "[xenwatch] (pid 38)" }],
    remarks: ["xapi has given up on it: its handle is deadbeef-dead-beef-dead-beef00000002"],
    missing: [],
  });
  expect(found.holders[0]?.chain[0]?.why).toContain("1 not come back (tx_zerocopy_sent 72518");
});

describe("the text and the ledger agree", () => {
  const cases: { name: string; hold: (t: TestHost, domid: number, mfn: number) => void }[] = [
    {
      name: "a foreign mapping",
      hold: (t, domid, mfn) => t.act((host) => mapForeign(host, xl, { domid, gfn: mfn })),
    },
    {
      name: "two, and a structure's reference",
      hold: (t, domid, mfn) => {
        t.act((host) => mapForeign(host, xl, { domid, gfn: mfn }));
        t.act((host) => mapForeign(host, { domid: 0, process: "qemu.7" }, { domid, gfn: mfn + 1 }));
        t.act((host) => domctl.setVirqHandler(host, xl, { domid, virq: 4 }));
      },
    },
  ];

  test.each(cases)("$name", ({ hold }) => {
    const t = new TestHost();
    const domid = t.makeDomain();
    t.act((host) => populatePhysmap(host, xl, { domid, gpfns: [0, 1, 2, 3], order: 0 }));
    const [first] = runsOf(t.world, ownedFrames(domid));
    hold(t, domid, first!.start);
    t.destroy(domid);
    t.settle();
    t.act((host) => ["q", "g"].forEach((key) => handleKeypress(host, key)));
    const byText = diagnoseText(readText(readConsoleRing(t.world, 0, CONRING_SIZE).text), domid);
    const byLedger = diagnose(t.world, domid);
    expect(byText.counts).toEqual(byLedger.counts);
    expect(byText.stage).toBe(byLedger.stage);
    const frames = (holders: typeof byText.holders): number[] =>
      [...new Set(holders.flatMap(({ holdings }) => holdings.flatMap((holding) => holding.frames)))].toSorted(
        (a, b) => a - b,
      );
    expect(frames(byText.holders)).toEqual(frames(byLedger.holders));
  });
});
