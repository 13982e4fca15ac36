// SPDX-License-Identifier: Apache-2.0
//
// What the journal costs: the same clients at daemons without one, with one that
// never waits for the disk, that waits once a second, and that waits before it
// answers.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bench, type BenchOptions, digits, median, type Report } from "./bench.ts";
import { CLIENTS_PROCESSOR, type Daemon, DAEMON_PROCESSOR, startOurs } from "./xenstored/daemons.ts";
import { load, type Load } from "./xenstored/load.ts";

const kinds = [
  { name: "no journal", args: [] },
  { name: "never waits", args: ["--fsync", "never"] },
  { name: "waits once a second", args: ["--fsync", "interval"] },
  { name: "waits for each answer", args: ["--fsync", "always"] },
] as const;
type Kind = (typeof kinds)[number];

const workloads: readonly (readonly [name: string, args: string])[] = [
  ["read, 1 client", "--workload read --clients 1"],
  ["read, 8 clients, 16 in flight", "--workload read --clients 8 --pipeline 16"],
  ["write, 1 client", "--workload write --clients 1"],
  ["write, 8 clients", "--workload write --clients 8"],
  ["write, 8 clients, 16 in flight", "--workload write --clients 8 --pipeline 16"],
  ["create and remove, 8 clients", "--workload createrm --clients 8"],
  ["transaction, 8 clients", "--workload txn --clients 8 --nodes 8192"],
];

/** How much more of the daemon's processor time a read may cost. */
const READ_MAX = 1.1;

/** Starts each daemon once; the rounds of a workload take turns. */
async function measure({ quick, progress, rounds = quick ? 1 : 3 }: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "journal-bench-"));
  const daemons: (readonly [Kind, Daemon])[] = [];
  const found: Found[] = [];
  try {
    for (const [at, kind] of kinds.entries()) {
      const run = join(folder, String(at));
      const state = kind.args.length === 0 ? [] : ["--state", join(run, "journal"), ...kind.args];
      daemons.push([kind, await startOurs(run, DAEMON_PROCESSOR, state)]);
    }
    for (const [name, args] of workloads) {
      progress(name);
      found.push({ name, runs: await turns(daemons, args.split(" "), rounds, quick ? 0.03 : 0.3) });
    }
  } finally {
    for (const [, daemon] of daemons) await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return reportOf(found);
}

/** One workload: what each kind of daemon made of it, round by round. */
interface Found {
  readonly name: string;
  readonly runs: readonly (readonly Load[])[];
}

async function turns(
  daemons: readonly (readonly [Kind, Daemon])[],
  args: readonly string[],
  rounds: number,
  seconds: number,
): Promise<Load[][]> {
  const runs: Load[][] = kinds.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < daemons.length; turn++) {
      const at = (turn + round) % daemons.length;
      const [kind, { socketPath, pid }] = daemons[at] as readonly [Kind, Daemon];
      const time = ["--seconds", String(seconds), "--seed", String(round + 1)];
      const warmup = ["--warmup", String(round === 0 ? seconds : 0.05)];
      const run = await load(socketPath, pid, [...args, ...time, ...warmup], CLIENTS_PROCESSOR);
      if ("broken" in run) throw new Error(`${kind.name}: ${run.broken}`);
      (runs[at] as Load[]).push(run);
    }
  }
  return runs;
}

/** Median of what a kind costs against no journal, round by round. */
function ratio({ runs }: Found, at: number, of: (run: Load) => number): number {
  const [without = [], own = []] = [runs[0], runs[at]];
  return median(own.map((run, round) => of(run) / of(without[round] as Load)));
}

const cpu = (run: Load): number => run.srv_cpu_us_op;
const wait = (run: Load): number => run.p50_us;

function reportOf(found: readonly Found[]): Report {
  const reads = found.filter(({ name }) => name.startsWith("read"));
  const readCosts = reads.flatMap((of) => kinds.map((_, at) => ratio(of, at, cpu)));
  const table = (title: string, note: string, of: (run: Load) => number): Report["tables"][number] => ({
    title,
    note,
    columns: ["workload", `${kinds[0].name}, µs`, ...kinds.slice(1).map(({ name }) => `${name} ×`)],
    rows: found.map((one) => [
      one.name,
      digits(median((one.runs[0] ?? []).map(of)), 1),
      ...kinds.slice(1).map((_, at) => digits(ratio(one, at + 1, of), 2)),
    ]),
  });
  return {
    tables: [
      table(
        "Processor time of the daemon for an operation",
        "The first column is in microseconds, the others are times of it, medians of the ratios within the rounds.",
        cpu,
      ),
      table(
        "Until the answer, half of all",
        "Real time, and so the disk's as well; clients that share a wait wait less each.",
        wait,
      ),
    ],
    claims: [
      {
        text: `a read costs at most ${READ_MAX} times as much, whatever the journal does`,
        measured: digits(Math.max(...readCosts), 2),
        holds: Math.max(...readCosts) <= READ_MAX,
        timed: true,
      },
    ],
  };
}

export const journal: Bench = {
  name: "journal",
  about:
    "`xenolith xenstored` without `--state`, and with it under each `--fsync`: the same load on each in turn, the daemon and its clients on a processor each. The journal is in the folder for temporary files.",
  needs: ["c-compiler"],
  run: measure,
};
