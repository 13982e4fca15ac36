// SPDX-License-Identifier: Apache-2.0
//
// examples/ci does what it says: its scripts run here as they would in a job.

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { capabilities } from "../../scripts/capabilities.ts";
import { requires } from "../capabilities.ts";
import { folder } from "./xenolith.ts";

const ci = join(import.meta.dirname, "../../examples/ci");

function onXenolith(artifacts: string, ...command: string[]): Promise<{ code: number; out: string }> {
  // Where the programs of a project would be: ours among them.
  const path = `${join(process.execPath, "..")}:${process.env["PATH"]}`;
  const env = { ...process.env, PATH: path, ARTIFACTS: artifacts };
  const child = spawn(join(ci, "on-xenolith.sh"), command, { env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text: Buffer) => (out += text.toString()));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code: code ?? -1, out })));
}

requires(
  "xen-utils",
  "xenstore-utils",
  "c-compiler",
)("examples/ci", () => {
  test("the toolstack's test passes", async () => {
    const { code, out } = await onXenolith(join(folder(), "none"), join(ci, "toolstack-test.sh"));
    expect(out).toMatch(/-- create\n[^]*-- attach[^]*-- save[^]*-- shut down\npassed\n$/);
    expect(code).toBe(0);
  }, 90_000);

  test("a test that fails fails the job, and leaves what the host saw", async () => {
    const left = join(folder(), "artifacts");
    const { code, out } = await onXenolith(left, "sh", "-c", "xl pause 99; exit 3");
    expect(code).toBe(3);
    expect(out).toContain("the command ended with 3; the domains that were left:\nName ");
    expect(fs.readdirSync(left).toSorted()).toEqual(["doctor.txt", "host.trace.jsonl", "xl-list.txt"]);
    expect(fs.readFileSync(join(left, "host.trace.jsonl"), "utf8")).toContain('"xenolith-trace"');
  }, 90_000);
});

test("the job installs what its tests need, and runs these scripts", () => {
  const job = fs.readFileSync(join(ci, "xen-tests.yml"), "utf8");
  for (const name of ["xen-utils", "xenstore-utils", "c-compiler"] as const)
    for (const debian of capabilities[name].packages) expect(job).toContain(debian);
  for (const script of job.match(/examples\/ci\/[\w-]+\.sh/g) ?? [])
    expect(fs.statSync(join(ci, "../..", script)).mode & 0o111).not.toBe(0);
});
