// SPDX-License-Identifier: Apache-2.0
//
// Xenolith runs TypeScript as it is, which takes a recent Node. Where the host's
// own is older, the Node that came along as an optional dependency does the work.
// Plain JavaScript: this file must load in any Node.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";

/** First Node release whose type stripping is stable. */
const floor = { major: 24, minor: 12 };

/**
 * Whether this very process can run the sources.
 *
 * @param {string} version as in `process.versions.node`
 */
export function isRecentEnough(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > floor.major || (major === floor.major && minor >= floor.minor);
}

/** Path of a Node that can run the sources: this one, or the carried one; null where there is neither. */
export function findNode() {
  if (isRecentEnough()) return process.execPath;
  try {
    const require = createRequire(import.meta.url);
    const manifest = require.resolve(`node-${process.platform}-${process.arch}/package.json`);
    const path = join(dirname(manifest), "bin", "node");
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}

/** What to tell somebody whose Node is too old and who has no carried one. */
export function nodeMissing() {
  return (
    `xenolith: needs Node ${floor.major}.${floor.minor} or newer, this is ${process.versions.node}, and no Node is\n` +
    `carried along for ${process.platform}-${process.arch}. Install a newer one: https://nodejs.org/\n`
  );
}

/**
 * What the other Node gets: the three streams, and where a xenstored takes over
 * from another (`-U`) the sockets this process was started with, by their numbers.
 *
 * @param {string[]} args
 * @returns {("inherit" | "ignore" | number)[]}
 */
function streamsFor(args) {
  /** @type {("inherit" | "ignore" | number)[]} */
  const streams = ["inherit", "inherit", "inherit"];
  if (!args.includes("-U") && !args.includes("--take-over")) return streams;
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd < 3 || !isSocket(fd)) continue;
    while (streams.length < fd) streams.push("ignore");
    streams[fd] = fd;
  }
  return streams;
}

/** @param {number} fd */
function isSocket(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}

/**
 * Runs `node` with `args` in this process's place, as far as that is possible:
 * same terminal, signals passed on, and the same end.
 *
 * @param {string} node
 * @param {string[]} args
 * @param {Record<string, string>} environment added to this process's
 */
export function runNode(node, args, environment = {}) {
  const child = spawn(node, args, { stdio: streamsFor(args), env: { ...process.env, ...environment } });
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP", "SIGINT"])) {
    process.on(signal, () => {
      // A terminal's Ctrl-C has reached the child already; twice would read as "stop at once".
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    process.stderr.write(`xenolith: cannot run ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
  });
}
