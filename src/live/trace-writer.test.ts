// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { parseTrace } from "../export/trace-file.ts";
import type { TraceHeader } from "../export/trace-file.ts";
import { Problem } from "./problem.ts";
import { TraceWriter } from "./trace-writer.ts";

const header: TraceHeader = {
  schema: "xenolith-trace",
  version: 1,
  scenario: "s",
  seed: 1,
  scheduler: "fifo",
  mutant: null,
  host: null,
  xen: "4.17",
  code: "0",
};

function folder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "trace-"));
  onTestFinished(() => fs.rmSync(made, { recursive: true }));
  return made;
}

function step(number: number): {
  step: { step: number; at: 0; action: { clock: 1 }; routine: null; name: null };
} {
  return { step: { step: number, at: 0, action: { clock: 1 }, routine: null, name: null } };
}

test("what was written can be read", () => {
  const file = path.join(folder(), "t");
  const writer = new TraceWriter(file, header, expect.unreachable);
  for (let at = 1; at <= 3000; at++) writer.write(step(at));
  writer.close();
  const trace = parseTrace(fs.readFileSync(file, "utf8"));
  expect(trace).toMatchObject({ header });
  expect((trace as { lines: unknown[] }).lines).toHaveLength(3000);
});

test("a full disk ends the trace at a whole line, and is told once", () => {
  const file = path.join(folder(), "t");
  const told: string[] = [];
  const writer = new TraceWriter(file, header, (why) => void told.push(why));
  writer.write(step(1));
  writer.flush();
  const room = fs.statSync(file).size + 100;
  // The file system takes what fits and then refuses, as a full one does.
  const real = fs.writeSync;
  let left = 100;
  vi.spyOn(fs, "writeSync").mockImplementation(((fd: number, bytes: Buffer, from: number, count: number) => {
    if (left === 0)
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const fits = Math.min(left, count);
    left -= fits;
    return real(fd, bytes, from, fits);
  }) as typeof fs.writeSync);
  for (let at = 2; at <= 2000; at++) writer.write(step(at));
  writer.flush();
  writer.close();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/no space left on the device/);
  expect(writer.complete).toBe(false);
  expect(fs.statSync(file).size).toBeLessThanOrEqual(room);
  expect(parseTrace(fs.readFileSync(file, "utf8"))).toMatchObject({ header, lines: [step(1), step(2)] });
});

test("a trace that cannot be made is a problem of the command", () => {
  expect(() => new TraceWriter(path.join(folder(), "none", "t"), header, expect.unreachable)).toThrow(
    Problem,
  );
});
