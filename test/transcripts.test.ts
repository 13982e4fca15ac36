// SPDX-License-Identifier: Apache-2.0
//
// Transcripts in the documents are what a fresh run prints, and show what the
// text around them says.

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { withPlaces, withTranscripts } from "../scripts/transcripts.ts";
import { root } from "./source-files.ts";

const documents = withPlaces();
const xenwatch = path.join(root, "docs/internals/xenwatch.md");

test.each(documents)("%s: its transcripts are those of a fresh run (npm run transcripts)", (file) => {
  const text = fs.readFileSync(file, "utf8");
  expect(withTranscripts(text)).toBe(text);
});

test("a guest of a driver domain: what keeps it, and what ends that", () => {
  const guide = fs.readFileSync(path.join(root, "docs/guides/driver-domains.md"), "utf8");
  const [, serves = "", still = "", rogue = ""] = guide
    .split(/^## /m)
    .slice(1, 5)
    .map((part) => part);
  expect(guide).toContain("51712 1   2      4     8");
  expect(serves).toMatch(/backend \S+ already removed, cleanup frontend only/);
  expect(still).toMatch(
    /real 10\.0 s[^]*lets go with: xenolith xl unpause 1[^]*store +1 +32 +1 +-b----\s+[\d.]+\n```/,
  );
  expect(rogue).toMatch(/the fault refuse-unmap is injected[^]*Domain-0 [^\n]*\n```/);
});

/** What each command of a session printed, in order, as `[command, text]`. */
function session(host: string): [command: string, text: string][] {
  const text = fs.readFileSync(xenwatch, "utf8");
  const blocks = [...text.matchAll(/<!-- transcript (.*?) -->\n+```console\n([\s\S]*?)```/g)]
    .filter(([, comment = ""]) => comment.split(" ").includes(`host=${host}`))
    .map(([, , block]) => block);
  return blocks
    .join("")
    .split(/^dom0# /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n") + 1)]);
}

/** What a command printed, the last time it was typed before another one. */
function printed(host: string, command: string, before?: string): string {
  const typed = session(host);
  const end = before === undefined ? typed.length : typed.findIndex(([other]) => other === before);
  const found = typed.slice(0, end).findLast(([other]) => other === command);
  if (found === undefined) throw new Error(`nobody typed ${command} on ${host}`);
  return found[1];
}

describe("one thread for all domains, and a lost packet", () => {
  const reset = "xenolith ifconfig eth0 down";

  test("the counters are off by the packets that are lost", () => {
    const count = (name: string): number =>
      Number(
        new RegExp(`tx_zerocopy_${name}: (\\d+)`).exec(printed("single", "xenolith ethtool vif1.0"))?.[1],
      );
    expect(count("sent") - count("success") - count("fail")).toBe(2);
  });

  test("the domain is a zombie without a name, xenwatch in state D where the talk has it", () => {
    expect(printed("single", "xl list", reset)).toMatch(/^\(null\) +1 +0 +1 +--p--d /m);
    expect(printed("single", "xenolith ps --state D", reset)).toContain("D     dom0/xenwatch");
    const stack = printed("single", "xenolith stack xenwatch", reset);
    const functions = [...stack.matchAll(/^\[<0>\] (\w+)/gm)].map(([, name]) => name);
    expect(functions).toEqual([
      "kthread_stop",
      "xenvif_disconnect_data",
      "set_backend_state",
      "frontend_changed",
      "xenbus_otherend_changed",
      "frontend_changed",
      "xenwatch_thread",
      "kthread",
    ]);
  });

  test("no domain is created, no device plugged in, no domain moved", () => {
    const create = printed("single", "time xl create examples/two.cfg", reset);
    expect(create).toMatch(
      /Domain 3:unable to add device with path \/local\/domain\/0\/backend\/vbd\/3\/51712/,
    );
    expect(create).toContain("Domain 3:unable to add disk devices");
    expect(create).toContain("Domain 3:unable to remove device with path");
    expect(create).toContain("Domain 3:Non-existant domain");
    expect(create).toContain("Domain 3:Destruction of domain failed");
    expect(create).toContain("real 20.0 s");
    for (const plug of ["block-attach three phy:/dev/vg0/spare xvdb w", "network-attach three bridge=xenbr0"])
      expect(printed("single", `time xl ${plug}`)).toContain("unable to add device with path");
    expect(printed("single", "time xl migrate three localhost")).toContain(
      "Migration failed, resuming at sender.",
    );
  });

  test("resetting the card frees the packet, and everything goes on", () => {
    expect(printed("single", "xl list")).not.toContain("(null)");
    expect(printed("single", "xenolith stack xenwatch")).toContain("wait_event watch_events_waitq");
    expect(printed("single", "time xl create examples/two.cfg")).toMatch(
      /^Parsing config from .*\n+real 0\.0 s\n$/,
    );
  });
});

test("with a thread for each domain only that domain stalls", () => {
  expect(printed("per-domain", "xl list", "xenolith ifconfig eth0 down")).toMatch(/^\(null\) +1 .* --p--d /m);
  expect(printed("per-domain", "xenolith ps --state D")).toBe(
    "STAT  THREAD              STANDS AT\nD     dom0/xen-mtwatch-1  kthread_stop: wait_for_completion\n",
  );
  for (const command of [
    "create examples/two.cfg",
    "block-attach three phy:/dev/vg0/spare xvdb w",
    "destroy three",
  ])
    expect(printed("per-domain", `time xl ${command}`)).toMatch(
      /^(Parsing config from .*\n)?\n?real 0\.0 s\n$/,
    );
  expect(printed("per-domain", "xl list")).not.toContain("(null)");
});

test.each([
  ["tag", ["kthread_stop", "xen_blkif_disconnect", "xen_blkbk_remove"]],
  [
    "page",
    ["gnttab_unmap_refs_sync", "free_persistent_gnts", "xen_blkbk_free_caches", "xen_blkif_disconnect"],
  ],
])("the talk's extra case: a %s", (host, top) => {
  const stack = [...printed(host, "xenolith stack xenwatch").matchAll(/^\[<0>\] (\w+)/gm)].map(
    ([, name]) => name,
  );
  expect(stack.slice(0, top.length)).toEqual(top);
  expect(stack).toContain("device_unregister");
  expect(printed(host, "xl list")).not.toContain("(null)");
});
