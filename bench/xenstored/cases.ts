// SPDX-License-Identifier: Apache-2.0
//
// The workloads: what clients do (see xsload.c), and how much faster than the C
// xenstored of Xen 4.17 ours must be, and should be.

/** Which cases belong together on the command line. */
export type Suite = "base" | "special" | "scale";
export const suites: readonly Suite[] = ["base", "special", "scale"];

/**
 * What is compared:
 * - `cpu`: processor time of the daemon for one operation.
 * - `turn`: for a client in lockstep on the daemon's own processor: processor time of
 *   both for one operation, which is the latency where nobody else runs.
 * - `p50`: how long half of the operations take at most.
 */
export type Figure = "cpu" | "turn" | "p50";

export interface Case {
  readonly suite: Suite;
  readonly name: string;
  /** Arguments of xsload. */
  readonly args: readonly string[];
  /** xsload's arguments to fill the daemon before the rounds. */
  readonly prepare?: readonly string[];
  /** Cases with the same name use one daemon, one after the other. */
  readonly share?: string;
  readonly figure: Figure;
  /** Times as fast as the C xenstored. */
  readonly must?: number;
  readonly aim?: number;
  /** Too much for the others: the C xenstored does not finish the tree in minutes. */
  readonly oursOnly?: true;
  /** One of the ten that every test run looks at. */
  readonly gate?: true;
  /** Seconds of processor time of ours before the first round, where all it needs takes that long to be compiled. */
  readonly warmup?: number;
}

const words = (text: string): string[] => text.split(" ");

type More = Partial<Omit<Case, "suite" | "name" | "args">>;

function special(name: string, args: string, more: More = {}): Case {
  return { suite: "special", name, args: words(args), figure: "cpu", ...more };
}

/** What one operation on its own, and many of them, must and should reach; clients, requests in flight of each. */
const goals: Readonly<Record<string, { must: number; aim: number }>> = {
  "1 1": { must: 1.25, aim: 1.6 },
  "1 16": { must: 2, aim: 3 },
  "8 1": { must: 1.1, aim: 1.5 },
  "8 16": { must: 2.5, aim: 5 },
  "64 1": { must: 0.85, aim: 1 },
  "64 16": { must: 2.5, aim: 5 },
};
const transactionGoals: Readonly<Record<string, { must: number; aim: number }>> = {
  ...goals,
  "1 1": { must: 1.5, aim: 2 },
  "1 16": { must: 4, aim: 10 },
  "8 16": { must: 4, aim: 10 },
  "64 16": { must: 4, aim: 10 },
};

const gates: ReadonlySet<string> = new Set([
  "read, 1 client, same processor",
  "write, 1 client, same processor",
  "read, 64 clients",
  "write, 8 clients, 16 in flight",
  "txn, 1 client, 16 in flight",
]);

const workloads = [
  "nop",
  "read",
  "write",
  "createrm",
  "dir",
  "getperms",
  "setperms",
  "txn",
  "watchreg",
] as const;

function baseName(workload: string, clients: number, flight: number): string {
  if (clients === 1 && flight === 1) return `${workload}, 1 client, same processor`;
  const who = `${workload}, ${clients} client${clients === 1 ? "" : "s"}`;
  return flight === 1 ? who : `${who}, ${flight} in flight`;
}

function base(workload: string, clients: number, flight: number): Case {
  const name = baseName(workload, clients, flight);
  const txn = workload === "txn";
  return {
    suite: "base",
    name,
    args: words(
      `--workload ${workload} --clients ${clients} --pipeline ${flight}${txn ? " --nodes 8192" : ""}`,
    ),
    figure: clients === 1 && flight === 1 ? "turn" : "cpu",
    ...(txn ? transactionGoals : goals)[`${clients} ${flight}`],
    ...(gates.has(name) ? { gate: true } : {}),
  };
}

const baseCases = workloads.flatMap((workload) =>
  [1, 8, 64].flatMap((clients) => [1, 16].map((flight) => base(workload, clients, flight))),
);

const tree100k: More = { prepare: words("--workload read --nodes 100000 --setup-only"), share: "100k" };

export const watchCounts = [0, 100, 1000, 10_000] as const;

export function watchCaseName(watches: number): string {
  return `write beside ${watches === 0 ? "no" : watches} idle watches, 8 clients, 16 in flight`;
}

export const connectionCounts = [1, 10, 100, 1000] as const;

export function connectionCaseName(clients: number): string {
  return `${clients} connection${clients === 1 ? "" : "s"}, 1 active`;
}

/** Twelve kinds of requests, most in transactions: a second has a few hundred of each. */
const widest: More = { warmup: 3 };

const specialCases: readonly Case[] = [
  special(
    "read of 2000 bytes, 8 clients, 16 in flight",
    "--workload read --value-bytes 2000 --clients 8 --pipeline 16 --nodes 500",
  ),
  special(
    "write of 2000 bytes, 8 clients, 16 in flight",
    "--workload write --value-bytes 2000 --clients 8 --pipeline 16 --nodes 500",
  ),
  special("mix, 8 clients", "--workload mix --clients 8 --pipeline 1", { must: 1.1, aim: 1.5 }),
  special("list of 10, 8 clients, 4 in flight", "--workload dir --children 10 --clients 8 --pipeline 4"),
  special("list of 100, 8 clients, 4 in flight", "--workload dir --children 100 --clients 8 --pipeline 4"),
  special("list of 1000, 8 clients, 4 in flight", "--workload dir --children 1000 --clients 8 --pipeline 4", {
    must: 1,
    aim: 3,
    gate: true,
  }),
  special("list of 10,000 in parts", "--workload dirpart --children 10000 --clients 1 --pipeline 1", {
    must: 1.2,
    aim: 2,
  }),
  special(
    "create and remove beside none, 16 in flight",
    "--workload createrm --children 0 --clients 1 --pipeline 16",
    { must: 2, aim: 3 },
  ),
  special(
    "create and remove beside 1000, 16 in flight",
    "--workload createrm --children 1000 --clients 1 --pipeline 16",
  ),
  special(
    "create and remove beside 10,000, 16 in flight",
    "--workload createrm --children 10000 --clients 1 --pipeline 16",
    { must: 3 },
  ),
  ...watchCounts.map((watches) =>
    special(
      watchCaseName(watches),
      `--workload write --clients 8 --pipeline 16 --idle-conns ${Math.max(1, Math.min(watches, 100))} --idle-watches ${watches}`,
      watches === 1000 ? { must: 3 } : watches === 10_000 ? { must: 20, gate: true } : {},
    ),
  ),
  special("event for 1 watcher", "--workload watch --clients 1 --pipeline 1"),
  special("event for 10 watchers", "--workload watch --clients 10 --pipeline 1"),
  special("event for 100 watchers", "--workload watch --clients 100 --pipeline 1", {
    must: 1,
    aim: 1.7,
    gate: true,
  }),
  special("event for 1000 watchers", "--workload watch --clients 1000 --pipeline 1"),
  special("event for 100 watchers, 16 in flight", "--workload watch --clients 100 --pipeline 16", {
    must: 2,
    aim: 5,
  }),
  special(
    "txn of 20 reads and 20 writes, 8 clients",
    "--workload txn --clients 8 --pipeline 1 --reads 20 --writes 20 --nodes 8192",
  ),
  special(
    "txn without requests, 8 clients, tree of 1000",
    "--workload txnempty --clients 8 --pipeline 1 --nodes 1000",
  ),
  special(
    "txn without requests, 8 clients, tree of 100,000",
    "--workload txnempty --clients 8 --pipeline 1 --nodes 100000 --no-setup --keep",
    tree100k,
  ),
  special(
    "txn, 8 clients, tree of 100,000",
    "--workload txn --clients 8 --pipeline 1 --nodes 100000 --no-setup --keep",
    { ...tree100k, must: 10 },
  ),
  ...[2, 8, 64].map((clients) =>
    special(
      `conflicting txns, ${clients} clients`,
      `--workload txnconflict --clients ${clients} --pipeline 1 --hot 16`,
      clients === 64 ? { must: 1, aim: 1.5, gate: true } : {},
    ),
  ),
  special("domain lifecycle, 1 client, same processor", "--workload domlife --clients 1 --pipeline 1", {
    ...widest,
    figure: "turn",
    must: 1.3,
    aim: 1.8,
  }),
  special("domain lifecycle, 8 clients", "--workload domlife --clients 8 --pipeline 1", {
    ...widest,
    must: 2.5,
    aim: 5,
  }),
  special("domain lifecycle, 32 clients", "--workload domlife --clients 32 --pipeline 1", {
    ...widest,
    must: 6,
    aim: 12,
  }),
  ...connectionCounts.map((clients) =>
    special(
      connectionCaseName(clients),
      `--workload manyclients --clients ${clients} --active 1`,
      clients === 1000 ? { must: 4, aim: 6, gate: true } : {},
    ),
  ),
  special("1000 connections, 16 active", "--workload manyclients --clients 1000 --active 16"),
  special("1000 connections, 256 active", "--workload manyclients --clients 1000 --active 256", {
    must: 0.95,
    aim: 1.3,
  }),
  special("connect, read, close; 1 client", "--workload churn --clients 1", { must: 0.25, aim: 0.4 }),
  special("connect, read, close; 16 clients", "--workload churn --clients 16", { must: 0.25, aim: 0.4 }),
  special("removal of 1000 nodes", "--workload rmtree --children 1000 --clients 1 --pipeline 1", {
    figure: "p50",
    must: 2,
    aim: 5,
  }),
];

/** Trees that are filled before the rounds, and what is then done in them. */
export const treeSizes = [
  { nodes: 1000, text: "1000" },
  { nodes: 10_000, text: "10,000" },
  { nodes: 100_000, text: "100,000" },
  { nodes: 1_000_000, text: "1,000,000" },
] as const;
export const treeWorkloads = ["read", "write", "createrm"] as const;

export function treeCaseName(workload: string, text: string): string {
  return `${workload}, 8 clients, 16 in flight, tree of ${text}`;
}

export function turnTreeCaseName(text: string): string {
  return `read, 1 client, same processor, tree of ${text}`;
}

/** Latency by itself: nothing that is asked together is waited for together. */
const turnTreeCases: readonly Case[] = treeSizes.map(({ nodes, text }) => ({
  suite: "scale",
  name: turnTreeCaseName(text),
  args: words(`--workload read --clients 1 --pipeline 1 --nodes ${nodes} --no-setup --keep`),
  prepare: words(`--workload read --nodes ${nodes} --setup-only`),
  share: `turn in a tree of ${nodes}`,
  figure: "turn",
  oursOnly: true,
}));

const scaleCases: readonly Case[] = treeSizes.flatMap(({ nodes, text }) =>
  treeWorkloads.map((workload) => ({
    suite: "scale" as const,
    name: treeCaseName(workload, text),
    args: words(
      `--workload ${workload} --clients 8 --pipeline 16 --nodes ${nodes} --no-setup --keep${
        workload === "createrm" ? " --children 0" : ""
      }`,
    ),
    prepare: words(`--workload read --nodes ${nodes} --setup-only`),
    share: `tree ${nodes}`,
    figure: "cpu" as const,
    ...(nodes < 1_000_000 ? { must: 2.5, aim: 5 } : { oursOnly: true as const }),
  })),
);

export const cases: readonly Case[] = [...baseCases, ...specialCases, ...scaleCases, ...turnTreeCases];
