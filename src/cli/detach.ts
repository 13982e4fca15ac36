// SPDX-License-Identifier: Apache-2.0
//
// A live host in the background: this process waits until it is up, or says why
// it is not.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { answers, makeFolder, readPid } from "../live/directory.ts";
import type { Directory } from "../live/directory.ts";
import { Problem, systemWords } from "../live/problem.ts";
import type { Invocation } from "./command.ts";
import { printJson } from "./command.ts";
import { callable, ownFile } from "./self.ts";

const POLL_MS = 50;
const UP_MS = 30_000;

/** The words that start the same host in the foreground. */
function foregroundWords({ values }: Invocation, where: Directory): string[] {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const others = given.filter(([name]) => name !== "dir" && name !== "trace");
  const { trace } = values;
  return [
    ownFile("bin/xenolith.js"),
    "up",
    `--dir=${where.dir}`,
    ...(trace === undefined ? [] : [`--trace=${path.resolve(trace)}`]),
    ...others.map(([name, value]) => `--${name}=${value}`),
  ];
}

function openLog(where: Directory): number {
  try {
    makeFolder(where.dir);
    return fs.openSync(where.log, "a", 0o600);
  } catch (error) {
    throw new Problem(
      `cannot use ${where.dir}: ${systemWords(error)}`,
      "xenolith up --detach --dir /tmp/xen",
    );
  }
}

/** What the host said last before it ended: its own complaint, without our name in front of it. */
function complaint(where: Directory, from: number): { message: string; next: string | null } {
  const said = fs.readFileSync(where.log).subarray(from).toString("utf8").trimEnd();
  // Another host that comes up in the directory at the same moment writes to the same log.
  const found = /xenolith up: ([\s\S]*?)(?:\nTry: (.*)|$(?![\s\S]))/.exec(said);
  return {
    message: found?.[1] ?? (said === "" ? "it ended without a word" : said),
    next: found?.[2] ?? null,
  };
}

/** Resolves when the child's host answers; rejects when the child ends, or takes too long. */
async function untilUp(child: ChildProcess, where: Directory, from: number): Promise<void> {
  const late = performance.now() + UP_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const { message, next } = complaint(where, from);
      throw new Problem(message, next ?? `cat ${where.log}`);
    }
    if (readPid(where) === child.pid && (await answers(where.control))) return;
    if (performance.now() > late) {
      child.kill();
      throw new Problem(`the host does not come up within ${UP_MS / 1000} s`, `cat ${where.log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Starts a host in the background. Returns the exit code. */
export async function detach(
  invocation: Invocation,
  where: Directory,
  hints: readonly string[],
): Promise<number> {
  if (await answers(where.control)) {
    const pid = readPid(where);
    const who = pid === null ? "" : ` (pid ${pid})`;
    throw new Problem(`a host is running in ${where.dir}${who}`, `xenolith status --dir ${where.dir}`);
  }
  const log = openLog(where);
  const from = fs.fstatSync(log).size;
  const child = spawn(process.execPath, foregroundWords(invocation, where), {
    detached: true,
    cwd: "/",
    stdio: ["ignore", log, log],
  });
  fs.closeSync(log);
  await untilUp(child, where, from);
  child.unref();
  if (invocation.json) printJson({ dir: where.dir, pid: child.pid, xenstored: where.xenstored });
  else {
    const tips = hints.map((hint) => `  ${callable(hint)}\n`).join("");
    process.stdout.write(`The host is up (pid ${child.pid}), and says what happens in ${where.log}\n`);
    process.stdout.write(`xenstored listens at ${where.xenstored}\nTry:\n${tips}`);
  }
  return 0;
}
