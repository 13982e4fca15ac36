// SPDX-License-Identifier: Apache-2.0
//
// Xen's own xenstoreds in ours' place: kernels speak to them in bytes over
// rings, so that an orderly shutdown must look just as it did on real Xen.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { COMPARATORS, factsOf, subjectOf } from "../golden/compare/index.ts";
import { differences, type Difference, type Facts } from "../golden/compare/facts.ts";
import { LiveRun, type Players } from "../golden/live.ts";
import { readRecording, readSetting } from "../golden/parse/folder.ts";
import type { Recording } from "../golden/recording.ts";
import { SCENARIOS } from "../golden/scenarios/index.ts";
import { requires } from "../capabilities.ts";
import { folder, startXenolith, xenolith } from "../e2e/xenolith.ts";

const recordings = join(import.meta.dirname, "../golden/recordings");
let run: LiveRun | null = null;
let root = "";

afterEach(async () => {
  await run?.stop();
  run = null;
  fs.rmSync(root, { recursive: true, force: true });
});

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 5_000, interval: 50 }).toBe(true);
}

const onRealStores = requires("xen-utils", "xenstore-utils", "c-compiler");

/** Runs a recorded scenario live. */
async function play(name: string, players: Players): Promise<{ expected: Recording; ours: Recording }> {
  const folder = join(recordings, name);
  const expected = readRecording(folder);
  root = fs.mkdtempSync(join(tmpdir(), "xenolith-store-"));
  run = await LiveRun.start(expected, players, root);
  const ours = await run.run(SCENARIOS.get(name)!(readSetting(folder)));
  expect(run.warnings).toEqual([]);
  return { expected, ours };
}

/**
 * What the comparators see. Two races were always decided in one way by
 * emulation. xl's monitor ends as soon as destroydomain returns: xenstored may
 * tell it of the death it caused before that. And xl writes a domain's console
 * while xenconsoled, which `@introduceDomain` has told of the domain, sets its
 * watch on it: it is told of what is written later only.
 */
function facts(comparator: (typeof COMPARATORS)[number], recording: Recording): Facts {
  const found = factsOf(comparator, subjectOf(recording));
  for (const [list, lines] of found) {
    const last = lines.at(-1);
    if (/^monitor \[\d+\]: events$/.test(list) && last?.text === "@releaseDomain 3/0") last.brief = true;
    if (list !== "xenconsoled: events") continue;
    for (const line of lines) if (/^\/local\/domain\/D\d+\/console/.test(line.text)) line.brief = true;
  }
  return found;
}

function compare(expected: Recording, ours: Recording, names?: readonly string[]): Difference[] {
  return COMPARATORS.filter(({ name }) => names === undefined || names.includes(name)).flatMap((comparator) =>
    differences(comparator.name, facts(comparator, expected), facts(comparator, ours)),
  );
}

onRealStores("the real xenstored in C", () => {
  for (const name of ["b-orderly-shutdown", "c-guest-poweroff", "e1-crash-destroy", "h-rename"]) {
    test(`our xl: ${name} is as on real Xen`, async () => {
      const { expected, ours } = await play(name, { xenstored: "c", xl: "builtin" });
      expect(compare(expected, ours)).toEqual([]);
    }, 90_000);
  }

  for (const name of [
    "b-orderly-shutdown",
    "c-guest-poweroff",
    "e1-crash-destroy",
    "f-destroy-running",
    "g-pause-unpause",
    "h-rename",
  ]) {
    test(`the real xl: ${name} is as on real Xen`, async () => {
      const { expected, ours } = await play(name, { xenstored: "c", xl: "real" });
      expect(compare(expected, ours)).toEqual([]);
    }, 90_000);
  }
});

requires("xen-utils", "c-compiler")("xenolith up --xenstored c", () => {
  test("a daemon that is killed is missed, and the host ends well without it", async () => {
    const dir = join(folder(), "host");
    const config = join(folder(), "gb.cfg");
    fs.writeFileSync(config, 'name = "gb"\nmemory = 32\n');
    const host = startXenolith(["up", "--xenstored", "c", "--dir", dir]);
    await host.printed(/Try:/);
    expect(xenolith(["xl", "--dir", dir, "create", config])).toMatchObject({ code: 0 });
    const status = (): string => xenolith(["status", "--dir", dir]).out;
    const before = status();
    expect(before).toContain("\ngb ");
    const pid = Number(/^xenstored +\S+ \(C xenstored, pid (\d+)\)$/m.exec(before)?.[1]);
    expect(fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain("/usr/lib/xen-4.17/bin/xenstored");

    process.kill(pid, "SIGKILL");
    await until(() => status().includes("xenstored  gone: "));
    expect(status()).toMatch(/^xenstored {2}gone: \S+ has ended \(SIGKILL\)$/m);
    expect(xenolith(["xl", "--dir", dir, "list"])).toEqual({
      code: 1,
      out: "",
      err:
        "libxl: error: libxl.c:108:libxl_ctx_alloc: cannot connect to xenstore: Connection refused\n" +
        "cannot init xl context\n",
    });
    expect(xenolith(["down", "--dir", dir]).code).toBe(0);
    expect((await host.ended).code).toBe(0);
    expect(host.err).toMatch(/^xenolith: xenstored is gone: \S+ has ended \(SIGKILL\)\./m);
  }, 60_000);

  test("a host takes its daemon with it, even when it is killed", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const dir = join(folder(), "host");
      const host = startXenolith(["up", "--xenstored", "c", "--dir", dir]);
      await host.printed(/Try:/);
      const status = xenolith(["status", "--json", "--dir", dir]).out;
      const { store } = JSON.parse(status) as { store: { pid: number } };
      expect(fs.existsSync(`/proc/${store.pid}`)).toBe(true);
      host.process.kill(signal);
      await host.ended;
      await until(() => !fs.existsSync(`/proc/${store.pid}`));
    }
  }, 60_000);
});

onRealStores("the real oxenstored", () => {
  // Its trace is another, and it lists directories and maps rings in its own way.
  const same = ["domain-flags", "words"];
  for (const xl of ["builtin", "real"] as const) {
    test(`${xl} xl: the domain's states and xl's words are as on real Xen`, async () => {
      const { expected, ours } = await play("b-orderly-shutdown", { xenstored: "ocaml", xl });
      expect(compare(expected, ours, same)).toEqual([]);
      const gone = ours.snapshots.find(({ name }) => name === "gone")?.nodes.map(({ path }) => path) ?? [];
      expect(gone).toContain("/local/domain/0/name");
      expect(gone.filter((path) => path.startsWith("/local/domain/2"))).toEqual([]);
    }, 90_000);
  }
});
