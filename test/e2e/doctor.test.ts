// SPDX-License-Identifier: Apache-2.0
//
// xenolith doctor and xenolith wait, on a live host and on a recorded run.

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import type { Diagnosis } from "../../src/doctor/diagnosis.ts";
import { root } from "../source-files.ts";
import { bin, folder, liveHost, startXenolith, xenolith } from "./xenolith.ts";

describe("a live host", () => {
  const dir = (): string[] => ["--dir", liveHost()];

  test("the doctor explains letters, and what nobody holds", () => {
    const on = dir();
    expect(xenolith(["doctor", ...on])).toMatchObject({ code: 0, out: "No domain is dead or dying.\n" });
    const made = xenolith(["xl", ...on, "create", "-p", path.join(root, "examples/web.cfg")]);
    expect(made).toMatchObject({ code: 0 });
    const { code, out } = xenolith(["doctor", ...on, "1"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^Domain 1 \(web\) is alive and paused\.\n/);
    expect(out).toMatch(/^ {2}p {2}paused.*it has never run: xl create -p leaves it so\.$/m);
    expect(out).toContain(`Next\n  ${bin} xl ${on.join(" ")} unpause 1\n`);
    const { next } = JSON.parse(xenolith(["doctor", ...on, "1", "--json"]).out) as Diagnosis;
    expect(next).toEqual([`xenolith xl ${on.join(" ")} unpause 1`]);
  });

  test("a number no domain has had, and a word that is no number", () => {
    const on = dir();
    const never = xenolith(["doctor", ...on, "7"]);
    expect(never).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^No domain has had the number 7 on/),
    });
    expect(xenolith(["doctor", ...on, "web"])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^xenolith doctor: a domain is named by its number, 0 to 32751, not web\n/),
    });
    expect(xenolith(["doctor", "/none/captured.txt"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^xenolith doctor: cannot read \/none\/captured\.txt: there is no such file/,
      ),
    });
    expect(xenolith(["wait", ...on, "--freed", "7"])).toMatchObject({
      code: 1,
      err: "no domain has had the number 7 on this host\n",
    });
    expect(xenolith(["wait", ...on])).toMatchObject({ code: 2 });
  });

  test("freeing what is left of a domain: not of a living one, nor of none", () => {
    const on = dir();
    xenolith(["xl", ...on, "create", "-p", path.join(root, "examples/web.cfg")]);
    expect(xenolith(["free", ...on, "1"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^xenolith free: domain 1 is alive: destroy it first\nTry: \S+ doctor 1 --dir/,
      ),
    });
    expect(xenolith(["free", ...on, "7"])).toMatchObject({
      code: 1,
      err: "xenolith free: there is no domain 7: its pages are free\n",
    });
    expect(xenolith(["free", ...on, "--json", "7"])).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^\{"error":"there is no domain 7/),
    });
    for (const words of [["web"], ["1", "x2"], []])
      expect(xenolith(["free", ...on, ...words])).toMatchObject({ code: 2 });
  });

  test("wait --freed ends when the domain is gone, and not before", async () => {
    const on = dir();
    xenolith(["xl", ...on, "create", path.join(root, "examples/web.cfg")]);
    const late = xenolith(["wait", ...on, "--freed", "1", "--timeout", "1"]);
    expect(late).toMatchObject({
      code: 1,
      err: expect.stringMatching(/xenolith wait: domain 1 is still there after 1 s\nTry: \S+ doctor 1 --dir/),
    });
    const waiting = startXenolith(["wait", ...on, "--freed", "1", "--json"]);
    expect(xenolith(["xl", ...on, "destroy", "web"])).toMatchObject({ code: 0 });
    expect(await waiting.ended).toMatchObject({ code: 0, out: '{"domid":1,"freed":true}\n' });
    expect(xenolith(["doctor", ...on, "1"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Domain 1 is gone/),
    });
  });
});

test("a zombie of a recorded run: who, by what frame, since when", () => {
  const trace = path.join(folder(), "zombie.trace.jsonl");
  expect(xenolith(["sim", path.join(root, "examples/zombie.ts"), "--trace", trace])).toMatchObject({
    code: 0,
  });
  const dead = fs
    .readFileSync(trace, "utf8")
    .split("\n")
    .find((line) => line.includes('"state":"dead"'));
  const { event } = JSON.parse(dead!) as { event: { step: number } };
  const at = ["--at", String(event.step)];
  const { code, out } = xenolith(["doctor", "1", "--trace", trace, ...at, "--json"]);
  expect(code).toBe(1);
  const found = JSON.parse(out) as Diagnosis;
  expect(found).toMatchObject({ stage: "zombie", state: "--p--d", name: null, disagreements: [] });
  // xenstored and xenconsoled have not let go yet either: the doctor looks at the very moment of death.
  expect(found.holders.map(({ name }) => name)).toContain("d0/holder");
  expect(found.holders.find(({ name }) => name === "d0/holder")).toMatchObject({
    holdings: [{ kind: "foreign map", count: 1, since: 500_000 }],
    chain: [{ thread: "holder", routine: "holder", at: "keep it", waitsFor: null }],
  });
  // Nothing can be done about what is over.
  expect(found.next).toEqual([`xenolith replay ${trace} --at ${event.step}`]);
  expect(xenolith(["doctor", "1", "--trace", trace])).toMatchObject({ code: 0 });
  expect(xenolith(["doctor", "1", "--trace", trace, trace])).toMatchObject({ code: 2 });
});

describe("text from a real host", () => {
  const zombie = ["q", "g"].map((key) =>
    path.join(root, `test/golden/recordings/k1-zombie-foreign-map/debugkey-${key}-zombie.txt`),
  );

  test("from files and from standard input", () => {
    const { code, out } = xenolith(["doctor", ...zombie]);
    expect(code).toBe(1);
    expect(out).toMatch(/^Domain 1 is a zombie: .* a program that maps its memory still holds 1 page\.\n/);
    const input = zombie.map((file) => fs.readFileSync(file, "utf8")).join("");
    expect(xenolith(["doctor", "1", "-"], { input })).toMatchObject({ code: 1, out });
  });

  test("text that is no evidence, and a file that is not there", () => {
    expect(xenolith(["doctor", "-"], { input: "hello\n" })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^xenolith doctor: nothing in - is output of debug keys/),
    });
    expect(xenolith(["doctor", "1", "/nonexistent"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^xenolith doctor: cannot read \/nonexistent: /),
    });
  });
});
