// SPDX-License-Identifier: Apache-2.0
//
// The same kill on a live host: the reader is another process at a Unix socket.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { XenstoreClient } from "../src/live/xenstore-client.ts";
import { digits, quantile } from "./bench.ts";
import type { Bench, BenchOptions, Report } from "./bench.ts";

/** Milliseconds a read may take, in 99 of 100. */
const LIMIT_MS = 5;
/** Milliseconds between a reply and the next read. */
const PAUSE_MS = 1;

/** Fewer reads than this in a kill, and the store stood still. */
const READS_MIN = 20;

const cli = join(import.meta.dirname, "../bin/xenolith.js");

/** Runs xenolith to its end; throws with what it said where it fails. */
async function xenolith(...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [status] = (await once(child, "close")) as [number];
  if (status !== 0) throw new Error(`xenolith ${args.join(" ")} ended with ${status}: ${said}`);
}

/** Reads a node again and again until something else is done; milliseconds for each read. */
async function readDuring(socket: string, other: Promise<void>): Promise<number[]> {
  const store = await XenstoreClient.connect(socket);
  const times: number[] = [];
  const end = new AbortController();
  const done = other.finally(() => end.abort());
  while (!end.signal.aborted) {
    const since = performance.now();
    await store.read("/local/domain/0/name");
    times.push(performance.now() - since);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await done;
  store.close();
  return times;
}

async function measure({ quick, progress }: BenchOptions): Promise<Report> {
  const dir = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const config = join(dir, "big.cfg");
  const gib = quick ? 64 : 1024;
  writeFileSync(config, `name = "big"\ntype = "pvh"\nmemory = ${gib * 1024}\n`);
  try {
    progress("a live host");
    await xenolith("up", "--detach", "--dir", dir, "--memory", "2T");
    const socket = join(dir, "xenstored", "socket");
    progress("nothing else happens");
    const idle = await readDuring(socket, new Promise((resolve) => setTimeout(resolve, 2_000)));
    await xenolith("xl", "--dir", dir, "create", "-p", config);
    progress(`killing a domain of ${gib} GiB`);
    const killing = await readDuring(socket, xenolith("xl", "--dir", dir, "destroy", "big"));
    const p99 = quantile(killing, 0.99);
    const row = (what: string, times: readonly number[]): (string | number)[] => [
      what,
      times.length,
      ...[0.5, 0.99, 1].map((share) => digits(quantile(times, share), 2)),
    ];
    return {
      tables: [
        {
          title: `Reads of a node while a domain of ${gib} GiB is killed`,
          note: `Milliseconds of real time from a request to its reply, over the Unix socket; the reader rests ${PAUSE_MS} ms between reads. The kill's figures include the start of \`xenolith xl\`.`,
          columns: ["meanwhile", "reads", "p50", "p99", "max"],
          rows: [row("nothing", idle), row("xl destroy", killing)],
        },
      ],
      claims: [
        {
          text: "the store answers all the while",
          measured: `${killing.length} reads`,
          holds: killing.length >= READS_MIN,
          timed: false,
        },
        {
          text: `99 of 100 reads end within ${LIMIT_MS} ms while it is killed`,
          measured: `${digits(p99, 2)} ms`,
          holds: p99 < LIMIT_MS,
          timed: true,
        },
      ],
    };
  } finally {
    await xenolith("down", "--dir", dir).catch(() => {});
    rmSync(dir, { recursive: true, force: true });
  }
}

export const killLive: Bench = {
  name: "kill-live",
  about:
    "A live host (`xenolith up`), a domain of one TiB that `xl destroy` kills, and another process that reads from the store at its Unix socket all the while.",
  run: measure,
};
