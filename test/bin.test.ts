// SPDX-License-Identifier: Apache-2.0
//
// The command itself, started the way a shell starts it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./source-files.ts";

const command = join(root, "bin/xenolith.js");
// On a stock Debian 12 the second one is Node 20, which has to change over to the carried one.
const nodes = [process.execPath, "/usr/bin/node"].filter((path) => existsSync(path));

test.each(nodes)("works from any folder, started by %s", (node) => {
  const result = spawnSync(node, [command, "--help"], { cwd: tmpdir(), encoding: "utf8" });
  expect(result.stdout).toMatch(/xenolith/);
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
});

test.each(nodes)("passes on the exit code, started by %s", (node) => {
  const result = spawnSync(node, [command, "no-such-command"], { cwd: tmpdir(), encoding: "utf8" });
  expect(result.stderr).not.toBe("");
  expect(result.status).toBe(2);
});

test.each(nodes)("changes over once at most, started by %s", (node) => {
  const env = { ...process.env, XENOLITH_CHANGED_OVER: "1" };
  const version = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout;
  const result = spawnSync(node, [command, "--help"], { env, encoding: "utf8", timeout: 20_000 });
  const isOld = Number(/^v(\d+)/.exec(version)?.[1]) < 24;
  expect(result.stderr).toMatch(isOld ? /needs Node 24\.12 or newer/ : /^$/);
  expect(result.status).toBe(isOld ? 1 : 0);
});
