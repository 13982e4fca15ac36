// SPDX-License-Identifier: Apache-2.0

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { requires } from "./capabilities.ts";

const here = join(import.meta.dirname, "../bench/xenstored");

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<boolean> {
  for (let look = 0; look < 1000 && isThere(pid); look++) await new Promise((wake) => setTimeout(wake, 20));
  return !isThere(pid);
}

/** Starts a process that starts others and prints their numbers, and kills it; the others' numbers. */
async function killedParent(program: string): Promise<number[]> {
  const parent = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(parent, "exit");
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pids = line.toString().trim().split(" ").map(Number);
  expect(pids.filter((pid) => !isThere(pid))).toEqual([]);
  parent.kill("SIGKILL");
  await exit;
  return pids;
}

test("a child ends when whoever started it is killed", async () => {
  const [pid = 0] = await killedParent(`
    import { spawn } from "node:child_process";
    import { ownChild } from ${JSON.stringify(join(here, "own-child.ts"))};
    const child = spawn(...ownChild("sleep", ["100"]), { stdio: "ignore" });
    setTimeout(() => console.log(child.pid), 200);
    setInterval(() => undefined, 1000);
  `);
  expect(await gone(pid)).toBe(true);
});

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the real xenstoreds", () => {
  test("end with the test that started them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "own-child-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const pids = await killedParent(`
      import { startReal } from ${JSON.stringify(join(here, "real.ts"))};
      const folder = ${JSON.stringify(folder)};
      const real = await Promise.all(["c", "ocaml"].map((kind) => startReal(kind, folder + "/" + kind)));
      console.log(real.map((one) => one.process.pid).join(" "));
      setInterval(() => undefined, 1000);
    `);
    expect(await Promise.all(pids.map(gone))).toEqual([true, true]);
  });
});
