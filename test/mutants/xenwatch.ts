// SPDX-License-Identifier: Apache-2.0

import { cellType, must } from "../../src/core/engine/cells.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { routine } from "../../src/core/engine/routine.ts";
import { hasEnded, spawnThread, threadCell } from "../../src/core/engine/thread.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "../../src/core/xenbus/watch.ts";
import type { WatchEvent } from "../../src/core/xenbus/xenbus.ts";
import { xenbusPrintf } from "../../src/core/xenbus/xs.ts";
import { domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

/** What the callbacks of this scenario have seen. */
const seenCell = cellType<{
  paths: string[];
  running: number;
  unregistered: boolean;
  other: boolean;
  wrong: string | null;
}>("mutants-seen");

const HANGS = "backend/x/1/h";

/** While it is there, the callback for the event that hangs does not return. */
const stuckCell = cellType<{ stuck: true }>("mutants-stuck");

function note(host: Host, wrong: string): void {
  host.edit(seenCell, 0).wrong ??= wrong;
}

const callback = routine(
  "mutants_callback",
  (a: WatchEvent) => ({ ...a }),
  ({ step, waitFor }) => [
    step("begin", (host, { path }) => {
      const seen = host.edit(seenCell, 0);
      seen.running++;
      if (seen.unregistered) note(host, `a callback for ${path} after the watch was taken back`);
      seen.other ||= path.startsWith("backend/x/2/");
      if (!path.startsWith("backend/x/1/")) return;
      const last = seen.paths.at(-1);
      if (last !== undefined && last > path) note(host, `${path} after ${last}`);
      seen.paths.push(path);
    }),
    waitFor("stuck", (host, { path }) => path !== HANGS || host.get(stuckCell, 0) === undefined),
    step("end", (host) => void host.edit(seenCell, 0).running--),
  ],
);

/** Takes the watch back from another thread, and says when it has. */
const takeBack = routine(
  "mutants_take_back",
  (a: object) => ({ ...a }),
  ({ call, step }) => [
    call("unregister", unregisterXenbusWatch, () => ({ domid: 0, token: "mutants" })),
    step("returned", (host) => {
      const seen = host.edit(seenCell, 0);
      seen.unregistered = true;
      if (seen.running > 0) note(host, "a callback under way when the watch was taken back");
    }),
  ],
);

const isEnded = (host: Host): boolean => hasEnded(host, "dom0/take-back");

export default scenario({
  name: "xenwatch",
  about: "a domain with a thread of its own comes, has events, hangs and goes",
  host: {
    xenwatch: "per-domain",
    files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' },
  },
  script: (words) => {
    const { step, call, waitFor, sleep } = words;
    const { xl, startXl, finishXl, until } = operator(words);
    const write = (name: string, node: string) =>
      call(name, xenbusPrintf, () => ({ domid: 0, dir: "backend/x", name: node, value: "" }));
    return [
      step("nothing seen", (host) => {
        host.add(seenCell, 0, { paths: [], running: 0, unregistered: false, other: false, wrong: null });
        host.add(stuckCell, 0, { stuck: true });
      }),
      call("watch", registerXenbusWatch, () => ({
        domid: 0,
        node: "backend/x",
        token: "mutants",
        callback: callback.name,
        getDomid: "path" as const,
      })),
      sleep("let it settle", () => 1_000),
      startXl("create", ["create", "-e", "-p", "/etc/xen/one.cfg"]),
      ...["a", "b", "c", "d", "e", "f", "g"].flatMap((node) => [
        write(`event ${node} while the domain comes`, `1/${node}`),
        words.sleep(`before the next, ${node}`, () => 300),
      ]),
      ...finishXl("create"),
      sleep("its thread is there", () => 1_000),
      write("an event that hangs", "1/h"),
      write("one behind it", "1/i"),
      write("somebody else's event", "2/a"),
      sleep("a while", () => 1_000),
      step("does somebody else wait?", (host) => {
        const { paths } = must(host, seenCell, 0);
        if (paths.at(-1) !== HANGS) note(host, "the event does not hang");
        if (!must(host, seenCell, 0).other) note(host, "more than the domain hangs");
      }),
      step("begin to take back", (host) => {
        spawnThread(host, "dom0/take-back", takeBack, {}, { kind: "kthread", joinable: true });
      }),
      sleep("it waits", () => 1_000),
      step("go on", (host) => host.drop(stuckCell, 0)),
      waitFor("it has returned", isEnded),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
      sleep("the thread ends", () => 1_000_000),
    ];
  },
  always: {
    "events of a domain keep their order, and none comes after the watch is gone": (host) =>
      host.get(seenCell, 0)?.wrong ?? null,
  },
  finally: {
    "a domain's thread ends with it": (host) =>
      host.get(threadCell, "dom0/xen-mtwatch-1") === undefined ? null : "dom0/xen-mtwatch-1 is still there",
  },
});
