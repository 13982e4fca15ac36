// SPDX-License-Identifier: Apache-2.0
//
// The protocol cases of `xenolith conformance`, against ours; the advisories are
// in test/security, the real daemons in real-xenstoreds.test.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { XS } from "../../src/core/xenstore/wire.ts";
import { XENSTORE_VERSIONS } from "../../src/core/xenstore/version.ts";
import { acceptable, type Case, isAcceptable } from "../../src/live/conformance/case.ts";
import { CASES } from "../../src/live/conformance/cases/index.ts";
import { playCases, reach } from "../../src/live/conformance/run.ts";
import { testOurs, withOurs } from "./suite.ts";
import { comparable, readTranscript } from "./transcript.ts";

const protocol = CASES.filter(({ advisory }) => advisory === undefined);

for (const version of XENSTORE_VERSIONS) {
  describe(`ours as ${version}`, () => testOurs(version, protocol, ({ name, about }) => `${name}: ${about}`));
}

describe("ours as 4.23 under the strict rule, and a transcript of C xenstored", () => {
  const ours = withOurs("4.23", { conflicts: "strict" });
  /** The answers that differ, by case and request, and why. */
  const known = new Set([
    // Ours has other commands.
    "domains/quota-control: A CONTROL help|",
    // C counts nodes that are created and removed in one transaction while it is open.
    "advisories/created-and-deleted: A CONTROL quota|1|",
    "advisories/failed-creation-in-transaction: A CONTROL quota|1|",
  ]);

  test("they answer alike", async () => {
    const differences: object[] = [];
    for (const [at, recorded] of readTranscript("xenstored-4.23").entries()) {
      if (recorded.outcome === "skipped") continue;
      const { answered } = await ours.play(CASES[at] as Case);
      for (const [number, { line, answer: expected }] of recorded.answered.entries()) {
        const answer = answered[number]?.answer ?? "nothing";
        const asked = `${recorded.name}: ${line.replace(/ => .*$/s, "")}`;
        if (comparable(answer) === comparable(expected) || known.has(asked)) continue;
        differences.push({ asked, answer, expected });
      }
    }
    expect(differences).toEqual([]);
  }, 60_000);

  test("most cases have a transcript; the others are by source reading", () => {
    const without = readTranscript("xenstored-4.23").filter(({ outcome }) => outcome === "skipped");
    expect(without.map(({ name }) => name)).toEqual([]);
  });
});

test("every request of Xen's newest xenstored is asked in some case", () => {
  const verbs: Readonly<Record<string, string>> = {
    begin: "TRANSACTION_START",
    commit: "TRANSACTION_END",
    abort: "TRANSACTION_END",
  };
  const asked = new Set(
    CASES.flatMap(({ lines }) => lines).map((line) => {
      const verb = /^(?:[A-Z]|d\d+) (?:gets )?(\w+)/.exec(line)?.[1] ?? "";
      return verbs[verb] ?? verb;
    }),
  );
  expect(Object.keys(XS).filter((name) => !asked.has(name))).toEqual(["WATCH_EVENT", "ERROR"]);
});

test("names are unique, and every case asks something", () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  for (const { lines } of CASES) expect(lines.length).toBeGreaterThan(0);
});

test("what is acceptable under a profile", () => {
  expect(acceptable("OK| or EAGAIN", "4.17")).toEqual(["OK|", "EAGAIN"]);
  expect(acceptable("4.17,4.23: a; oxenstored: b or c", "4.23")).toEqual(["a"]);
  expect(acceptable("4.17,4.23: a; oxenstored: b or c", "oxenstored")).toEqual(["b", "c"]);
  expect(acceptable("4.23: a; else: b", "4.17")).toEqual(["b"]);
  expect(acceptable("4.23: a", "4.17")).toBeUndefined();
  expect(["x", "EINVAL", "none", "closed"].map((answer) => isAcceptable(answer, ["any"]))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test("a xenstored that a request has ended fails the case, and those that follow", async () => {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const socketPath = join(folder, "socket");
  const fragile = createServer((socket) => {
    socket.on("data", () => {
      fragile.close();
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => void fragile.listen(socketPath, resolve));
  const target = { socketPath, domains: undefined, profile: "4.17" } as const;
  const results = await playCases(CASES.slice(0, 2), target, () => undefined);
  expect(results.map(({ outcome }) => outcome)).toEqual(["failed", "failed"]);
  expect(results.map(({ answered }) => answered[0]?.answer)).toEqual([
    "closed",
    "there is no such file or directory",
  ]);
  await expect(reach(target)).rejects.toMatchObject({ code: "ENOENT" });
});
