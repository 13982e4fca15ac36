// SPDX-License-Identifier: Apache-2.0
//
// What domains cost on a live host whose toolstack is Debian's xl: creating them,
// listing them, shutting them down, and their being there.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isFailure } from "../../src/core/engine/errno.ts";
import { createdomain } from "../../src/core/hypervisor/domctl.ts";
import { compiled } from "../../src/live/compile.ts";
import type { LiveHost } from "../../src/live/live-host.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import { digits, median } from "../bench.ts";
import type { Claim, Table } from "../bench.ts";
import { hostTime } from "./host-shell.ts";
import type { Cost, HostShell } from "./host-shell.ts";

const PROGRAM = join(import.meta.dirname, "../../bin/xenolith.js");
/** How much longer a list of ten times as many domains may take. */
const LIST_LIMIT = 3;
/** Milliseconds of the host's processor time that a domain may take to create, and to shut down. */
const CREATE_LIMIT_MS = 40;
const SHUTDOWN_LIMIT_MS = 40;
/** Microseconds of the host's processor time that a client's read may take. */
const READ_LIMIT_US = 20;
/** Share of one processor that a host may take with nothing to do, in percent. */
const IDLE_LIMIT_PERCENT = 0.5;

/** A configuration for domain number `$i` in a folder. */
export function writeConfig(folder: string, kernel: string): void {
  const lines = [`name = "pvh-@"`, `type = "pvh"`, `kernel = "${kernel}"`, "memory = 32", ""];
  writeFileSync(join(folder, "pvh.cfg"), lines.join("\n"));
}

/** Creates domains one after another. */
export function creating(shell: HostShell, folder: string, count: number): Promise<Cost> {
  return shell.run(
    `for i in $(seq ${count}); do sed s/@/$i/ ${folder}/pvh.cfg > ${folder}/$i.cfg; xl create -q ${folder}/$i.cfg; done`,
  );
}

/** Shuts them down, four at a time, and waits until each is. */
export function shuttingDown(shell: HostShell, count: number): Promise<Cost> {
  return shell.run(`seq ${count} | xargs -P4 -I@ xl shutdown -w pvh-@`);
}

/** What a read of xenstore costs, in microseconds, where client and host run so. */
export type Read = readonly [where: string, cost: Cost];

const AS_IT_COMES = "as it comes";
/** Where clients and host run, as reads.c names it and as the page does. */
const PLACEMENTS = [
  ["any", AS_IT_COMES],
  ["same", "one processor"],
  ...(availableParallelism() > 1 ? ([["two", "two processors"]] as const) : []),
] as const;

/** Requests of one client of xenstore, one after another: medians over some rounds. */
export async function reading(shell: HostShell, rounds: number, count: number): Promise<Read[]> {
  const reads = compiled({
    name: "xenstore-reads",
    folder: import.meta.dirname,
    files: ["reads.c", "placement.h"],
    flags: [],
    libraries: ["-lxenstore"],
  });
  const found: Read[] = [];
  for (const [placement, words] of PLACEMENTS) {
    const costs: Cost[] = [];
    for (let round = 0; round < rounds; round++)
      costs.push(await shell.run(`${reads} ${count} ${placement} ${process.pid}`));
    const each = (of: (cost: Cost) => number): number => (median(costs.map(of)) / count) * 1000;
    const [host, programs, wall] = [each((c) => c.host), each((c) => c.programs), each((c) => c.wall)];
    found.push([words, { host, programs, wall }]);
  }
  return found;
}

/** Medians over some lists. */
export async function listing(shell: HostShell, rounds: number): Promise<Cost> {
  const costs: Cost[] = [];
  for (let round = 0; round < rounds; round++) costs.push(await shell.run("xl list"));
  const middle = (of: (cost: Cost) => number): number => median(costs.map(of));
  return { host: middle((c) => c.host), programs: middle((c) => c.programs), wall: middle((c) => c.wall) };
}

/** The same as a user has it, who is on no host: milliseconds until `xenolith run -- xl list` has ended, a median. */
export async function runListing(dir: string, rounds: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const since = performance.now();
    const words = [PROGRAM, "run", "--dir", dir, "--", "xl", "list"];
    const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = (await once(child, "close")) as [number];
    if (code !== 0) throw new Error(`xenolith run ended with ${code}`);
    times.push(performance.now() - since);
  }
  return median(times);
}

/** Domains that are only there, with names. */
export async function populate(host: LiveHost, xenstored: string, count: number): Promise<void> {
  const domids: number[] = [];
  host.world.boot((machine) => {
    for (let made = 0; made < count; made++) {
      const found = createdomain(machine, { domid: 0, process: "bench" }, { maxVcpus: 1 });
      if (isFailure(found)) throw new Error(`no domain: ${found.errno}`);
      domids.push(found.domid);
    }
  });
  const client = await connectXenstore(xenstored);
  for (const domid of domids) await client.write(`/local/domain/${domid}/name`, `only-there-${domid}`);
  client.close();
}

/** A host with nothing to do for some time. */
export interface Idle {
  readonly domains: string;
  /** Share of one processor, in percent. */
  readonly percent: number;
  /** How often a second the process began to wait. */
  readonly waits: number;
}

export async function idling(domains: string, seconds: number): Promise<Idle> {
  // What was begun before comes to its end: guests boot, the collector collects.
  await new Promise((resolve) => setTimeout(resolve, Math.min(seconds, 5) * 1000));
  const [before, waited] = [hostTime(), process.resourceUsage().voluntaryContextSwitches];
  const since = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const ms = performance.now() - since;
  return {
    domains,
    percent: ((hostTime() - before) / ms) * 100,
    waits: ((process.resourceUsage().voluntaryContextSwitches - waited) / ms) * 1000,
  };
}

/** A list: of how many domains, what it cost in a shell on the host, how long it took from without. */
export type List = readonly [domains: number, inside: Cost, outside: number];

/** What was measured of domains. */
export interface Measured {
  readonly domains: number;
  readonly created: Cost;
  readonly shutDown: Cost;
  readonly reads: readonly Read[];
  /** Of few domains and of many. */
  readonly lists: readonly [List, List];
  /** The same where Debian's xenstored serves the host: how long each took in a shell. */
  readonly theirs: readonly [number, number];
  readonly idle: readonly Idle[];
}

function each(cost: Cost, count: number): string[] {
  return [cost.host, cost.programs, cost.wall].map((ms) => digits(ms / count, 1));
}

export function tablesOf(measured: Measured): Table[] {
  const { domains, created, shutDown, reads, lists, theirs, idle } = measured;
  const columns = ["", "host", "programs", "elapsed"];
  return [
    {
      title: `${domains} PVH domains`,
      note: "Milliseconds a domain: processor time of the host, that of xl, and how long it took. Created by `xl create` one after another, then `xl shutdown -w`, four at a time; a guest's user space takes 100 ms to end.",
      columns,
      rows: [
        ["create", ...each(created, domains)],
        ["shut down", ...each(shutDown, domains)],
      ],
    },
    {
      title: "A read of xenstore",
      note: "Microseconds: processor time of the host, that of the client, and how long it took. One client of libxenstore reads a node again and again, held with the host on one processor, on two, or left where the kernel puts them.",
      columns,
      rows: reads.map(([words, cost]) => [words, ...each(cost, 1)]),
    },
    {
      title: "xl list",
      note: "Milliseconds of one list, medians: in a shell on the host, and `xenolith run -- xl list` until it has ended. xl reads each domain's name from xenstore, one after another: a request and a reply a domain. Last how long the list in the shell takes where Debian's xenstored serves the host.",
      columns: ["domains", "host", "programs", "elapsed", "xenolith run", "with Debian's xenstored"],
      rows: lists.map(([count, inside, outside], i) => [
        count,
        ...each(inside, 1),
        digits(outside, 0),
        digits(theirs[i] ?? 0, 1),
      ]),
    },
    {
      title: "Nothing to do",
      note: "Of one processor, and how often the process waits for something to happen. Those with guests run `xl create`'s monitor each.",
      columns: ["domains", "percent", "waits a second"],
      rows: idle.map(({ domains: what, percent, waits }) => [what, digits(percent, 2), digits(waits, 1)]),
    },
  ];
}

function listClaim(command: string, ratio: number, few: number, many: number): Claim {
  return {
    text: `${command} of ${many} domains takes less than ${LIST_LIMIT} times what ${few} take`,
    measured: `${digits(ratio, 2)} times`,
    holds: ratio < LIST_LIMIT,
    timed: true,
  };
}

/** Microseconds that a list takes longer for each domain more. */
function slope([few, many]: readonly [number, number], domains: number): number {
  return ((many - few) / domains) * 1000;
}

export function claimsOf(measured: Measured): Claim[] {
  const { domains, created, shutDown, reads, lists, theirs, idle } = measured;
  const [[few, fewInside, fewOutside], [many, manyInside, manyOutside]] = lists;
  const [ours, debians] = [slope([fewInside.wall, manyInside.wall], many - few), slope(theirs, many - few)];
  const placed = reads.filter(([words]) => words !== AS_IT_COMES);
  const most = Math.max(...idle.map(({ percent }) => percent));
  const [create, shutdown] = [created.host / domains, shutDown.host / domains];
  return [
    ...placed.map(([words, { host }]): Claim => ({
      text: `on ${words}, a read of xenstore costs the host at most ${READ_LIMIT_US} µs`,
      measured: `${digits(host, 1)} µs`,
      holds: host <= READ_LIMIT_US,
      timed: true,
    })),
    listClaim("`xl list` in a shell on the host", manyInside.wall / fewInside.wall, few, many),
    listClaim("`xenolith run -- xl list`", manyOutside / fewOutside, few, many),
    {
      text: "a domain more costs `xl list` no more than where Debian's xenstored serves the host",
      measured: `${digits(ours, 1)} of ${digits(debians, 1)} µs`,
      holds: ours <= debians,
      timed: true,
    },
    {
      text: `a PVH domain costs the host at most ${CREATE_LIMIT_MS} ms to create`,
      measured: `${digits(create, 1)} ms`,
      holds: create <= CREATE_LIMIT_MS,
      timed: true,
    },
    {
      text: `and at most ${SHUTDOWN_LIMIT_MS} ms to shut down`,
      measured: `${digits(shutdown, 1)} ms`,
      holds: shutdown <= SHUTDOWN_LIMIT_MS,
      timed: true,
    },
    {
      text: `with nothing to do the host takes at most ${IDLE_LIMIT_PERCENT} % of a processor, however many domains there are`,
      measured: `${digits(most, 2)} %`,
      holds: most <= IDLE_LIMIT_PERCENT,
      timed: true,
    },
  ];
}
