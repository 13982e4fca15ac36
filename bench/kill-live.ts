// SPDX-License-Identifier: Apache-2.0
//
// The same kill on a live host: the reader is another process at a Unix socket.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectXenstore } from "../src/live/xenstore-client.ts";
import { digits, quantile } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report } from "./bench.ts";

/** Milliseconds a read may take, in 99 of 100. */
const LIMIT_MS = 5;
/** Milliseconds between a reply and the next read. */
const PAUSE_MS = 1;

/** Fewer reads than this in a kill, and the store stood still. */
const READS_MIN = 20;

const cli = join(import.meta.dirname, "../bin/xenolith.js");

/** Runs xenolith to its end; what it printed. Throws with what it said where it fails. */
async function xenolith(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [status] = (await once(child, "close")) as [number];
  if (status !== 0) throw new Error(`xenolith ${args.join(" ")} ended with ${status}: ${said}`);
  return printed;
}

/** Milliseconds that a process was ready to run and waited for a processor, since it began (Linux). */
function waitedForProcessor(pid: number): number {
  const [, waited] = readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ");
  return Number(waited) / 1e6;
}

/** Milliseconds of some reads. */
interface Times {
  /** From the request to the reply. */
  whole: number[];
  /** The same, less what the host or the reader, whichever was worse off, waited for a processor. */
  served: number[];
}

/** Reads a node again and again until something else is done. */
async function readDuring(dir: string, host: number, other: Promise<unknown>): Promise<Times> {
  const store = await connectXenstore(join(dir, "xenstored", "socket"));
  const times: Times = { whole: [], served: [] };
  const parties = [host, process.pid];
  const end = new AbortController();
  const done = other.finally(() => end.abort());
  while (!end.signal.aborted) {
    const before = parties.map(waitedForProcessor);
    const since = performance.now();
    await store.read("/local/domain/0/name");
    const whole = performance.now() - since;
    const waits = parties.map((pid, at) => waitedForProcessor(pid) - (before[at] as number));
    times.whole.push(whole);
    times.served.push(Math.max(0, whole - Math.max(...waits)));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await done;
  store.close();
  return times;
}

function reportOf(gib: number, idle: Times, killing: Times): Report {
  const row = (what: string, { whole, served }: Times): (string | number)[] => [
    what,
    whole.length,
    ...[whole, served].flatMap((times) => [0.5, 0.99, 1].map((share) => digits(quantile(times, share), 2))),
  ];
  const within = (times: readonly number[], text: string): Claim => {
    const p99 = quantile(times, 0.99);
    return { text, measured: `${digits(p99, 2)} ms`, holds: p99 < LIMIT_MS, timed: true };
  };
  const claim = `99 of 100 reads end within ${LIMIT_MS} ms while it is killed`;
  return {
    tables: [
      {
        title: `Reads of a node while a domain of ${gib} GiB is killed`,
        note: `Milliseconds of real time from a request to its reply, over the Unix socket; the reader rests ${PAUSE_MS} ms between reads. The kill's figures include the start of \`xenolith xl\`. "Served" leaves out the time in which the host or the reader was ready and other processes had the processors: the longer wait of the two, from their \`/proc/PID/schedstat\`.`,
        columns: ["meanwhile", "reads", "p50", "p99", "max", "p50 served", "p99 served", "max served"],
        rows: [row("nothing", idle), row("xl destroy", killing)],
      },
    ],
    claims: [
      {
        text: "the store answers all the while",
        measured: `${killing.whole.length} reads`,
        holds: killing.whole.length >= READS_MIN,
        timed: false,
      },
      within(killing.served, `${claim}, waits for a processor left out`),
      within(killing.whole, claim),
    ],
  };
}

async function measure({ quick, progress }: BenchOptions): Promise<Report> {
  const dir = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const config = join(dir, "big.cfg");
  const gib = quick ? 64 : 1024;
  writeFileSync(config, `name = "big"\ntype = "pvh"\nmemory = ${gib * 1024}\n`);
  try {
    progress("a live host");
    await xenolith("up", "--detach", "--dir", dir, "--memory", "2T");
    const { pid } = JSON.parse(await xenolith("status", "--json", "--dir", dir)) as { pid: number };
    progress("nothing else happens");
    const idle = await readDuring(dir, pid, new Promise((resolve) => setTimeout(resolve, 2_000)));
    await xenolith("xl", "--dir", dir, "create", "-p", config);
    progress(`killing a domain of ${gib} GiB`);
    const killing = await readDuring(dir, pid, xenolith("xl", "--dir", dir, "destroy", "big"));
    return reportOf(gib, idle, killing);
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
