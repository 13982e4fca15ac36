// SPDX-License-Identifier: Apache-2.0
//
// The command as users start it, for tests.

import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess, SpawnSyncReturns } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { onTestFinished } from "vitest";
import { ownChild } from "../../bench/xenstored/own-child.ts";
import { root } from "../source-files.ts";

export const bin = path.join(root, "bin/xenolith.js");

/** What a command printed, and its exit code. */
export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Arguments for Node itself. */
  node?: readonly string[];
  input?: string;
}

/** A folder that goes away with the test. */
export function folder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-test-"));
  onTestFinished(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** The environment without anything that would name another host. */
function environment(added: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { XENOLITH_DIR: _dir, XENSTORED_PATH: _path, ...rest } = process.env;
  return { ...rest, ...added };
}

/** Runs a command to its end. */
export function xenolith(args: readonly string[], options: RunOptions = {}): Ended {
  const ended: SpawnSyncReturns<string> = spawnSync(
    process.execPath,
    [...(options.node ?? []), bin, ...args],
    {
      encoding: "utf8",
      cwd: options.cwd ?? "/",
      env: environment(options.env),
      timeout: 50_000,
      killSignal: "SIGKILL",
      ...(options.input === undefined ? {} : { input: options.input }),
    },
  );
  return { code: ended.status, out: ended.stdout, err: ended.stderr };
}

/** A command under way, and what it has printed so far. */
export interface Running extends Ended {
  process: ChildProcess;
  /** Resolves when it has printed that to standard output; rejects when it ends before. */
  printed(pattern: RegExp): Promise<void>;
  ended: Promise<Ended>;
}

/** Starts a command; it ends with the test at the latest. */
export function startXenolith(args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(...ownChild(process.execPath, [...(options.node ?? []), bin, ...args]), {
    cwd: options.cwd ?? "/",
    env: environment(options.env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const waiting: { pattern: RegExp; resolve: () => void; reject: (error: Error) => void }[] = [];
  const running: Running = {
    process: child,
    code: null,
    out: "",
    err: "",
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        if (pattern.test(running.out)) resolve();
        else waiting.push({ pattern, resolve, reject });
      }),
    ended: new Promise((resolve) => {
      child.on("close", (code) => {
        running.code = code;
        for (const { pattern, reject } of waiting)
          reject(new Error(`ended before ${pattern}: ${running.err}`));
        resolve(running);
      });
    }),
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    running.out += text;
    for (const { pattern, resolve } of waiting) if (pattern.test(running.out)) resolve();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (running.err += text));
  return running;
}

/** A live host in the background, in a folder of its own, until the test ends. */
export function liveHost(...options: string[]): string {
  const dir = path.join(folder(), "host");
  onTestFinished(() => void xenolith(["down", "--dir", dir]));
  const { code, err } = xenolith(["up", "--detach", "--dir", dir, ...options]);
  if (code !== 0) throw new Error(`up --detach: ${err}`);
  return dir;
}
