// SPDX-License-Identifier: Apache-2.0
//
// One case against several daemons: each is started afresh, and the rounds go
// A B C, B C A, …, so that whatever else the machine does falls on all alike.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../bench.ts";
import type { Case } from "./cases.ts";
import {
  CLIENTS_PROCESSOR,
  type Daemon,
  DAEMON_PROCESSOR,
  type DaemonName,
  residentMegabytes,
  startDaemon,
} from "./daemons.ts";
import { type Broken, fill, type Filling, load, type Load } from "./load.ts";

/** How long and how often. */
export interface Effort {
  readonly rounds: number;
  /** Processor time of the daemon in a round. */
  readonly seconds: number;
  /** The same before the first round of ours, which is compiled as it runs; other rounds need little. */
  readonly warmup: number;
}

const WARMUP_LATER = 0.05;

/** What was found of one daemon in one case; medians over the rounds. */
export interface Finding {
  /** Microseconds of the figure the case is about. */
  readonly micros: number;
  readonly opsPerSecond: number;
  readonly p99: number;
  readonly errors: number;
  readonly firstError: string;
  readonly filling: Filling | undefined;
  readonly megabytes: number;
}

/** All of one case. `null` for a daemon that did not get through. */
export interface Result {
  readonly case: Case;
  readonly findings: ReadonlyMap<DaemonName, Finding | null>;
  /** Times as fast as C: the median of the ratios within the rounds. None where there is nothing to compare. */
  readonly ratios: ReadonlyMap<DaemonName, number>;
  readonly broken: ReadonlyMap<DaemonName, string>;
}

const isBroken = (run: object): run is Broken => "broken" in run;

function microsOf({ figure }: Case, run: Load): number {
  if (figure === "p50") return run.p50_us;
  return figure === "cpu" ? run.srv_cpu_us_op : run.srv_cpu_us_op + (run.cli_cpu_s * 1e6) / run.ops;
}

/** A daemon in the course of its cases. */
class Contestant {
  readonly name: DaemonName;
  daemon: Daemon | undefined;
  filling: Filling | undefined;
  broken: string | undefined;
  runs: (Load | undefined)[] = [];
  megabytes: number[] = [];

  constructor(name: DaemonName) {
    this.name = name;
  }

  async start(run: string, { figure, prepare }: Case): Promise<void> {
    const processor = figure === "turn" ? CLIENTS_PROCESSOR : DAEMON_PROCESSOR;
    this.daemon = await startDaemon(this.name, run, processor);
    if (prepare === undefined) return;
    const filled = await fill(this.daemon.socketPath, this.daemon.pid, prepare, CLIENTS_PROCESSOR);
    if (isBroken(filled)) this.broken = `filling it: ${filled.broken}`;
    else this.filling = filled;
  }

  async round(args: readonly string[]): Promise<void> {
    if (this.broken !== undefined || this.daemon === undefined) return void this.runs.push(undefined);
    const { socketPath, pid } = this.daemon;
    const run = await load(socketPath, pid, args, CLIENTS_PROCESSOR);
    if (isBroken(run)) {
      this.broken = run.broken;
      this.runs.push(undefined);
      return;
    }
    this.runs.push(run);
    this.megabytes.push(residentMegabytes(pid).all);
  }

  /** What the rounds since the last call found. */
  take(of: Case): Finding | null {
    const runs = this.runs.filter((run) => run !== undefined && run.ops > 0) as Load[];
    if (runs.length === 0) return null;
    const middle = (value: (run: Load) => number): number => median(runs.map(value));
    return {
      micros: middle((run) => microsOf(of, run)),
      opsPerSecond: middle((run) => run.ops_s),
      p99: middle((run) => run.p99_us),
      errors: runs.reduce((sum, run) => sum + run.errors, 0),
      firstError: runs.find((run) => run.errors > 0)?.first_error ?? "",
      filling: this.filling,
      megabytes: Math.max(...this.megabytes),
    };
  }
}

/** The median of the ratios within the rounds: noise that lasts longer than a round cancels out. */
function ratioTo(base: Contestant, other: Contestant, of: Case): number | undefined {
  const ratios: number[] = [];
  for (const [round, run] of other.runs.entries()) {
    const against = base.runs[round];
    if (run !== undefined && against !== undefined && run.ops > 0 && against.ops > 0)
      ratios.push(microsOf(of, against) / microsOf(of, run));
  }
  return ratios.length === 0 ? undefined : median(ratios);
}

async function rounds(of: Case, contestants: readonly Contestant[], effort: Effort): Promise<Result> {
  for (const contestant of contestants) contestant.runs = [];
  for (let round = 0; round < effort.rounds; round++) {
    const time = ["--seconds", String(effort.seconds), "--seed", String(round + 1)];
    for (let at = 0; at < contestants.length; at++) {
      const contestant = contestants[(at + round) % contestants.length] as Contestant;
      const first = Math.max(effort.warmup, of.warmup ?? 0);
      const warmup = round === 0 && contestant.name === "ours" ? first : WARMUP_LATER;
      await contestant.round([...of.args, ...time, "--warmup", String(warmup)]);
    }
  }
  const base = contestants.find(({ name }) => name === "c");
  const ratios = new Map<DaemonName, number>();
  for (const contestant of contestants) {
    const ratio = base === undefined ? undefined : ratioTo(base, contestant, of);
    if (ratio !== undefined && contestant !== base) ratios.set(contestant.name, ratio);
  }
  const broken = contestants.flatMap(({ name, broken: what }) =>
    what === undefined ? [] : [[name, what] as const],
  );
  return {
    case: of,
    findings: new Map(contestants.map((contestant) => [contestant.name, contestant.take(of)])),
    ratios,
    broken: new Map(broken),
  };
}

/** Runs cases one after the other; those that share daemons have to stand together. */
export async function measure(
  cases: readonly Case[],
  names: readonly DaemonName[],
  effort: Effort,
  told: (result: Result, done: number) => void,
): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "xenstored-bench-"));
  const results: Result[] = [];
  let contestants: Contestant[] = [];
  const stop = async (): Promise<void> => {
    for (const { daemon } of contestants) await daemon?.stop();
    contestants = [];
  };
  try {
    let share: string | undefined;
    for (const [at, of] of cases.entries()) {
      if (of.share === undefined || of.share !== share) {
        await stop();
        const who = of.oursOnly === true ? names.filter((name) => name === "ours") : names;
        contestants = who.map((name) => new Contestant(name));
        for (const contestant of contestants)
          await contestant.start(join(folder, `${contestant.name}-${at}`), of);
      }
      share = of.share;
      const result = await rounds(of, contestants, effort);
      results.push(result);
      told(result, at + 1);
    }
  } finally {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return results;
}
