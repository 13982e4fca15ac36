// SPDX-License-Identifier: Apache-2.0
//
// Installs what is missing, so that `git clone` and one command are enough.
// Plain JavaScript: it runs before the Node that strips types is there.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const lockfile = join(root, "package-lock.json");
const modules = join(root, "node_modules");
const stamp = join(modules, ".xenolith-setup");
const busy = join(root, ".xenolith-setup.busy");

/** Makes node_modules what the lockfile says, or ends the process with a message. */
export function setup() {
  if (!existsSync(lockfile) || isInstalled()) return;
  takeTurn();
  try {
    if (!isInstalled()) install();
  } finally {
    rmSync(busy, { force: true });
  }
}

/** What identifies the wanted content of node_modules. File times say nothing: git sets them at will. */
function wanted() {
  const hash = createHash("sha256").update(readFileSync(lockfile)).digest("hex");
  return `${hash} ${process.platform}-${process.arch}\n`;
}

function isInstalled() {
  return (
    existsSync(join(modules, ".package-lock.json")) &&
    existsSync(stamp) &&
    readFileSync(stamp, "utf8") === wanted()
  );
}

function install() {
  process.stderr.write("Installing what is missing (npm ci) ...\n");
  const args = ["ci", "--include=dev", "--include=optional", "--loglevel=error"];
  // Under npm, use that very npm; its path is a JavaScript file for its own Node.
  const { npm_execpath: npm, npm_node_execpath: node } = process.env;
  const underNpm = npm !== undefined && node !== undefined;
  const result = spawnSync(underNpm ? node : "npm", underNpm ? [npm, ...args] : args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) {
    rmSync(busy, { force: true });
    const why = result.error?.message ?? `ended with ${result.status ?? result.signal}`;
    process.stderr.write(`npm ci ${why}. To see why: cd ${root} && npm ci\n`);
    process.exit(1);
  }
  writeFileSync(stamp, wanted());
}

/** Waits until no other process installs here. A turn whose owner is gone counts for nothing. */
function takeTurn() {
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      writeFileSync(busy, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    Atomics.wait(nap, 0, 0, 200); // also gives the owner time to write its pid
    if (!ownerLives()) rmSync(busy, { force: true });
  }
}

function ownerLives() {
  try {
    process.kill(Number(readFileSync(busy, "utf8")), 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH"; // ENOENT: it has just finished
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
