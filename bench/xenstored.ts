// SPDX-License-Identifier: Apache-2.0
//
// Our xenstored beside the C xenstored and oxenstored of Xen 4.17: what clients
// on Unix sockets get from each. The cases are in xenstored/cases.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digits } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report, Table } from "./bench.ts";
import {
  type Case,
  cases,
  type Suite,
  suites,
  treeCaseName,
  treeSizes,
  treeWorkloads,
  turnTreeCaseName,
} from "./xenstored/cases.ts";
import { type DaemonName, daemonNames, residentMegabytes, startDaemon } from "./xenstored/daemons.ts";
import { growthPictures } from "./xenstored/growth.ts";
import { type Effort, type Finding, measure, type Result } from "./xenstored/measure.ts";

/** A tree may make an operation dearer by so much. */
const GROWTH_MAX = 1.2;
/** Megabytes that may be resident, by number of nodes. */
const memoryGoals = [
  { nodes: 0, text: "empty", must: 70, aim: 50 },
  { nodes: 100_000, text: "100,000 nodes", must: 120, aim: 80 },
  { nodes: 1_000_000, text: "1,000,000 nodes", must: 600, aim: 350 },
] as const;
/** Seconds of processor time in which a tree is to be filled. */
const fillGoals = [
  { nodes: 100_000, text: "100,000 nodes", seconds: 3 },
  { nodes: 1_000_000, text: "1,000,000 nodes", seconds: 15 },
] as const;

const FULL: Effort = { rounds: 5, seconds: 0.15, warmup: 1.2 };
const QUICK: Effort = { rounds: 3, seconds: 0.12, warmup: 1 };

function selected({ suite, only }: BenchOptions): Case[] {
  const wanted = suite === undefined ? suites : suite.split(",");
  const unknown = wanted.find((name) => !suites.includes(name as Suite));
  if (unknown !== undefined) throw new Error(`no suite ${unknown}; there are: ${suites.join(", ")}`);
  const pattern = new RegExp(only ?? "");
  return cases.filter(({ suite: of, name }) => wanted.includes(of) && pattern.test(name));
}

const shown = (value: number | undefined, count = 2): string =>
  value === undefined || Number.isNaN(value) ? "" : digits(value, value >= 100 ? 0 : count);

const micros = (finding: Finding | null | undefined): string =>
  finding === null || finding === undefined ? "" : shown(finding.micros, 1);

function reached({ must, aim }: Case, ratio: number | undefined): string {
  if (must === undefined || ratio === undefined) return "";
  if (aim !== undefined && ratio >= aim) return "aim";
  return ratio >= must ? "must" : "**no**";
}

function resultRow({ case: of, findings, ratios, broken }: Result): string[] {
  const ours = ratios.get("ours");
  return [
    of.name,
    of.figure,
    broken.has("c") ? "broke" : micros(findings.get("c")),
    broken.has("ocaml") ? "broke" : shown(ratios.get("ocaml")),
    micros(findings.get("ours")),
    shown(ours),
    shown(of.must),
    shown(of.aim),
    reached(of, ours),
  ];
}

const COLUMNS = [
  "workload",
  "figure",
  "C, µs",
  "oxenstored ×",
  "ours, µs",
  "ours ×",
  "must",
  "aim",
  "reached",
];

const titles: Readonly<Record<Suite, string>> = {
  base: "One kind of request",
  special: "Special cases",
  scale: "Large trees",
};

function suiteTables(results: readonly Result[]): Table[] {
  return suites.flatMap((suite) => {
    const rows = results.filter((result) => result.case.suite === suite).map(resultRow);
    return rows.length === 0 ? [] : [{ title: titles[suite], columns: COLUMNS, rows }];
  });
}

/** The first finding in a tree of that many nodes. */
function inTree(results: readonly Result[], nodes: number, name: DaemonName): Finding | undefined {
  const { text } = treeSizes.find((size) => size.nodes === nodes) as (typeof treeSizes)[number];
  const found = results.find((result) => result.case.name === treeCaseName(treeWorkloads[0], text));
  return found?.findings.get(name) ?? undefined;
}

function sizeTable(results: readonly Result[], empty: Empty): Table {
  const columns = [
    "",
    ...daemonNames.map((name) => `${name}, MB`),
    ...daemonNames.map((name) => `${name}, s`),
  ];
  const rows = memoryGoals.map(({ nodes, text }) => {
    const filled = daemonNames.map((name) =>
      nodes === 0 ? undefined : inTree(results, nodes, name)?.filling,
    );
    return [
      text,
      ...daemonNames.map((name, at) =>
        shown(nodes === 0 ? empty.all.get(name) : (filled[at]?.srv_rss_kb ?? Number.NaN) / 1024, 0),
      ),
      ...filled.map((filling) => shown(filling?.srv_cpu_s, 1)),
    ];
  });
  return {
    title: "Resident memory, and processor time to fill the tree",
    columns,
    rows,
    note:
      "The C xenstored and oxenstored are not asked to hold a million nodes: the first does not finish in four minutes. " +
      `Of ours, empty, ${shown(empty.own, 0)} MB are its own, and the rest pages of files, nearly all of them Node's ` +
      `program: how many of these are resident depends on what else has used it. ` +
      `A start that finds nothing compiled by an earlier one has ${shown(empty.first, 0)} MB.`,
  };
}

function sizeClaims(results: readonly Result[], empty: Empty): Claim[] {
  const claims: Claim[] = [];
  for (const { nodes, text, must, aim } of memoryGoals) {
    const filling = nodes === 0 ? undefined : inTree(results, nodes, "ours")?.filling;
    const megabytes = nodes === 0 ? empty.all.get("ours") : filling && filling.srv_rss_kb / 1024;
    if (megabytes === undefined) continue;
    claims.push({
      text: `${text}: at most ${must} MB are resident (aim: ${aim})`,
      measured:
        nodes === 0
          ? `${digits(megabytes, 0)} MB, ${digits(empty.own, 0)} of them no pages of files; ` +
            `${digits(empty.first, 0)} MB at the first start, which compiles`
          : `${digits(megabytes, 0)} MB`,
      holds: megabytes <= must,
      timed: true,
    });
  }
  for (const { nodes, text, seconds } of fillGoals) {
    const filling = inTree(results, nodes, "ours")?.filling;
    if (filling === undefined) continue;
    claims.push({
      text: `${text} are written in ${seconds} s of processor time`,
      measured: `${digits(filling.srv_cpu_s, 1)} s`,
      holds: filling.srv_cpu_s <= seconds,
      timed: true,
    });
  }
  return claims;
}

function growthClaims(results: readonly Result[]): Claim[] {
  const cost = (name: string): number | undefined =>
    results.find((result) => result.case.name === name)?.findings.get("ours")?.micros;
  const series = [
    ...treeWorkloads.map((workload) => [workload, (text: string) => treeCaseName(workload, text)] as const),
    ["a read in lockstep, client included", turnTreeCaseName] as const,
  ];
  return series.flatMap(([what, nameIn]) => {
    const [small, ...larger] = treeSizes.map(({ text }) => cost(nameIn(text)));
    const most = Math.max(...larger.filter((value) => value !== undefined));
    if (small === undefined || !Number.isFinite(most)) return [];
    return [
      {
        text: `${what}: at most ${GROWTH_MAX}× in trees of up to 1,000,000 nodes what it costs in one of 1000`,
        measured: `${digits(most / small, 2)}×`,
        holds: most <= GROWTH_MAX * small,
        timed: true,
      },
    ];
  });
}

function claimsOf(results: readonly Result[]): Claim[] {
  const judged = results.filter(
    (result) => result.case.must !== undefined && result.ratios.get("ours") !== undefined,
  );
  const short = judged.filter(
    (result) => (result.ratios.get("ours") as number) < (result.case.must as number),
  );
  const aimed = judged.filter(
    ({ case: { aim, must }, ratios }) => (ratios.get("ours") as number) >= (aim ?? must ?? 0),
  );
  const wrong = results.flatMap(({ case: { name }, findings, broken }) => {
    const ours = findings.get("ours");
    if (broken.has("ours")) return [`${name}: ${broken.get("ours")}`];
    const theirs = findings.get("c")?.errors ?? 0;
    return ours !== null && ours !== undefined && ours.errors > 0 && theirs === 0
      ? [`${name}: ${ours.errors} errors, the first ${ours.firstError}`]
      : [];
  });
  const claims: Claim[] = [
    {
      text: "ours answers everything, and what was asked",
      measured: wrong.length === 0 ? `${results.length} workloads` : wrong.join("; "),
      holds: wrong.length === 0,
      timed: false,
    },
  ];
  if (judged.length > 0) {
    claims.push({
      text: `each of ${judged.length} workloads is as much faster than the C xenstored as it must be`,
      measured: `${judged.length - short.length}, and ${aimed.length} as much as it should be${
        short.length === 0 ? "" : `; not ${short.map((result) => result.case.name).join("; ")}`
      }`,
      holds: short.length === 0,
      timed: true,
    });
  }
  return [...claims, ...growthClaims(results)];
}

/** Megabytes of daemons that have just started. */
interface Empty {
  readonly all: ReadonlyMap<DaemonName, number>;
  /** Of ours, what is no page of a file. */
  readonly own: number;
  /** Of ours where nothing is kept of what earlier starts have compiled, as at the first of all. */
  readonly first: number;
}

/** Ours keeps what it has compiled (in node_modules/.cache): so this is not its first start. */
async function emptyMegabytes(names: readonly DaemonName[]): Promise<Empty> {
  const folder = mkdtempSync(join(tmpdir(), "xenstored-bench-"));
  const megabytes = async (name: DaemonName, run: string): Promise<{ all: number; own: number }> => {
    const daemon = await startDaemon(name, join(folder, run), null);
    const found = residentMegabytes(daemon.pid);
    await daemon.stop();
    return found;
  };
  const all = new Map<DaemonName, number>();
  try {
    await megabytes("ours", "before");
    for (const name of names) all.set(name, (await megabytes(name, name)).all);
    const { own } = await megabytes("ours", "own");
    process.env["NODE_DISABLE_COMPILE_CACHE"] = "1";
    const first = (await megabytes("ours", "first")).all;
    return { all, own, first };
  } finally {
    delete process.env["NODE_DISABLE_COMPILE_CACHE"];
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(options: BenchOptions): Promise<Report> {
  const todo = options.quick ? cases.filter(({ gate }) => gate === true) : selected(options);
  const names: readonly DaemonName[] = options.quick ? ["c", "ours"] : daemonNames;
  const full = options.quick ? QUICK : FULL;
  const effort: Effort = { ...full, rounds: options.rounds ?? full.rounds };
  const empty = await emptyMegabytes(names);
  const results = await measure(todo, names, effort, (result, done) => {
    const ratio = result.ratios.get("ours");
    options.progress(
      `${done} of ${todo.length}: ${result.case.name}${ratio === undefined ? "" : `: ${digits(ratio, 2)}×`}`,
    );
  });
  return {
    tables: [...suiteTables(results), sizeTable(results, empty)],
    pictures: growthPictures(results),
    claims: [...claimsOf(results), ...sizeClaims(results, empty)],
  };
}

export const xenstored: Bench = {
  name: "xenstored",
  about: [
    "Clients on Unix sockets against the C xenstored (`c`) and oxenstored (`ocaml`) of Xen 4.17, which need no Xen here,",
    "and ours. Each daemon is started afresh for a case, rounds of all take turns, and a ratio is the median of those",
    "within the rounds. `cpu` is processor time of the daemon for one operation; `turn` that of daemon and client",
    "together where both share a processor and take turns, which is the latency; `p50` the median latency. The load",
    "generator (`bench/xenstored/xsload.c`) checks every reply.",
  ].join("\n"),
  needs: ["xen-utils", "libxen-dev", "c-compiler"],
  run,
};
