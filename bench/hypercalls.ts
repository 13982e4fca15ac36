// SPDX-License-Identifier: Apache-2.0
//
// Hypercalls of a process outside, beside a bare echo over a Unix socket; mapping
// frames; and `xl list` of many domains.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { tinyKernel } from "../examples/guests/tiny-kernel.ts";
import { defaultHost } from "../src/core/host.ts";
import { compiled } from "../src/live/compile.ts";
import { directory } from "../src/live/directory.ts";
import type { Directory } from "../src/live/directory.ts";
import { LiveHost } from "../src/live/live-host.ts";
import { libxendev } from "../src/live/native.ts";
import { startOnHost } from "../src/live/run.ts";
import { verbsOf } from "../src/live/verbs.ts";
import type { XenstoredKind } from "../src/live/xenstored-process.ts";
import { digits, quantile } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report } from "./bench.ts";
import {
  claimsOf,
  creating,
  idling,
  listing,
  populate,
  reading,
  runListing,
  shuttingDown,
  tablesOf,
  writeConfig,
} from "./hypercalls/domains.ts";
import type { List, Measured } from "./hypercalls/domains.ts";
import { HostShell } from "./hypercalls/host-shell.ts";

/** How much slower than the echo a hypercall may be. */
const ECHO_LIMIT = 2;
/** Why it is said of each call where it was made. */
const WHY_PLACED =
  "Who sleeps has to be woken. On one processor that is a switch; on another one that sleeps, too, it is an interrupt to a processor of a virtual machine that has halted, 15 µs and more. Where the kernel puts two processes that wake each other (`select_idle_sibling` prefers the processor on which the woken one last ran, if that is idle) is chance and stays for long, so both ends are also held on one processor and on two. Program and host wait awake for a moment where they have two, which echoes do not.";
/** What 1,024 consecutive frames may take, and how much longer than the kernel scattered ones. */
const CONTIGUOUS_LIMIT_US = 1_000;
const SCATTERED_LIMIT = 2;
/** 8 GiB: a hundred domains, and what there is beside them. */
const MACHINE_PAGES = 1 << 21;
/** Where the kernel's domain has memory that nobody uses. */
const FIRST_FRAME = 0x800;

/** Runs a program on a host to its end; what it printed. */
async function run(
  { dir, bridge, xenstored }: Directory,
  ...command: [string, ...string[]]
): Promise<string> {
  const child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
  let out = "";
  child.stdout?.on("data", (text: Buffer) => (out += text.toString()));
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}`);
  return out;
}

/** Nanoseconds by kind, as calls.c prints them. */
function timesOf(text: string): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const line of text.trimEnd().split("\n")) {
    const [kind = "", value] = line.split(" ");
    times.set(kind, [...(times.get(kind) ?? []), Number(value)]);
  }
  return times;
}

/** Where host and program run, as calls.c names it, and as the page does. */
const PLACEMENTS: readonly (readonly [suffix: string, words: string])[] = [
  ["", "as it comes"],
  ["-same", "one processor"],
  ["-two", "two processors"],
];

/** A kind of call without its placement, and where it was made. */
function callOf(kind: string): [call: string, words: string] {
  const [call = "", where] = kind.split("-");
  const suffix = where === undefined ? "" : `-${where}`;
  return [call, PLACEMENTS.find(([known]) => known === suffix)?.[1] ?? ""];
}

function reportOf(times: Map<string, number[]>, domains: Measured): Report {
  const us = (kind: string, share: number): number => quantile(times.get(kind) ?? [], share) / 1000;
  const kinds = [...times.keys()];
  const placed = PLACEMENTS.filter(([suffix]) => suffix !== "" && times.has(`hypercall${suffix}`));
  return {
    tables: [
      {
        title: "One call",
        note: `Microseconds. \`echo\` is a request and a reply of a hypercall's size between two C processes over a Unix socket; \`hypercall\` is \`xen_version\`; the others map and unmap 1,024 frames, one after another or every second one. \`mmap\` is what the kernel takes for the latter alone: as many mappings of a file, and one munmap. ${WHY_PLACED}`,
        columns: ["call", "where both ends run", "calls", "p50", "p99"],
        rows: kinds.map((kind) => [
          ...callOf(kind),
          times.get(kind)?.length ?? 0,
          digits(us(kind, 0.5), 1),
          digits(us(kind, 0.99), 1),
        ]),
      },
      ...tablesOf(domains),
    ],
    claims: [
      {
        text: "every kind of call was answered",
        measured: kinds.map((kind) => `${times.get(kind)?.length} ${kind}`).join(", "),
        holds: kinds.length === (availableParallelism() > 1 ? 9 : 7),
        timed: false,
      },
      ...placed.map(([suffix, words]): Claim => {
        const ratio = us(`hypercall${suffix}`, 0.5) / us(`echo${suffix}`, 0.5);
        return {
          text: `on ${words}, the median hypercall takes at most ${ECHO_LIMIT} times the median echo`,
          measured: `${digits(ratio, 2)} times`,
          holds: ratio <= ECHO_LIMIT,
          timed: true,
        };
      }),
      {
        text: `mapping 1,024 frames one after another takes at most ${CONTIGUOUS_LIMIT_US} µs`,
        measured: `${digits(us("contiguous", 0.5), 0)} µs`,
        holds: us("contiguous", 0.5) <= CONTIGUOUS_LIMIT_US,
        timed: true,
      },
      {
        text: `mapping 1,024 scattered frames takes at most ${SCATTERED_LIMIT} times what the kernel takes for it`,
        measured: `${digits(us("scattered", 0.5) / us("mmap", 0.5), 2)} times`,
        holds: us("scattered", 0.5) <= SCATTERED_LIMIT * us("mmap", 0.5),
        timed: true,
      },
      ...claimsOf(domains),
    ],
  };
}

/** Domains that come and go, lists of them, and a host left alone with them. */
async function measureDomains(
  host: LiveHost,
  where: Directory,
  folder: string,
  { quick, progress }: BenchOptions,
): Promise<Measured> {
  const [few, many] = quick ? [8, 80] : [100, 1000];
  const [rounds, seconds] = quick ? [3, 0.5] : [25, 15];
  const shell = new HostShell(where);
  const idle = [await idling("none", seconds)];
  progress(`creating ${few} domains`);
  const created = await creating(shell, folder, few);
  idle.push(await idling(`${few} with guests`, seconds));
  progress("reads of xenstore");
  const reads = await reading(shell, rounds, quick ? 200 : 5_000);
  progress("xl list");
  const list = async (count: number): Promise<List> => [
    count,
    await listing(shell, rounds),
    await runListing(where.dir, rounds),
  ];
  const short = await list(few);
  await populate(host, where.xenstored, many - few);
  const lists = [short, await list(many)] as const;
  idle.push(await idling(`${many}, ${few} with guests`, seconds));
  progress(`shutting down ${few} domains`);
  const shutDown = await shuttingDown(shell, few);
  await shell.close();
  progress("xl list with Debian's xenstored");
  const theirs = await listingTheirs(folder, [few, many], rounds);
  return { domains: few, created, shutDown, reads, lists, theirs, idle };
}

/** Lists of as many domains on a host that Debian's xenstored serves: milliseconds. */
async function listingTheirs(
  folder: string,
  [few, many]: readonly [number, number],
  rounds: number,
): Promise<readonly [number, number]> {
  const where = directory(join(folder, "theirs"));
  const host = await startHost(where, "c");
  try {
    const shell = new HostShell(where);
    await populate(host, where.xenstored, few);
    const short = await listing(shell, rounds);
    await populate(host, where.xenstored, many - few);
    const long = await listing(shell, rounds);
    await shell.close();
    return [short.wall, long.wall];
  } finally {
    await host.stop();
  }
}

async function startHost(where: Directory, xenstored?: XenstoredKind): Promise<LiveHost> {
  const config = { machine: { ...defaultHost.machine, totalPages: MACHINE_PAGES } };
  const quiet = { trace: null, code: "bench", warn: () => {}, crashed: () => {} };
  const host = await LiveHost.start({
    where,
    config,
    ...quiet,
    ...(xenstored === undefined ? {} : { xenstored }),
  });
  await host.serve(verbsOf(host, () => host.stop()));
  return host;
}

async function measure(asked: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const where = directory(join(folder, "host"));
  const calls = compiled({
    name: "hypercall-bench",
    folder: join(import.meta.dirname, "hypercalls"),
    files: ["calls.c", "placement.h"],
    flags: ["-D__XEN_TOOLS__"],
    libraries: [],
  });
  const kernel = join(folder, "tiny.elf");
  writeFileSync(kernel, tinyKernel());
  writeConfig(folder, kernel);
  const host = await startHost(where);
  try {
    await run(where, "xl", "create", "-q", join(folder, "pvh.cfg"));
    asked.progress("hypercalls and echoes");
    const rounds = asked.quick ? 2 : 50;
    const frame = `0x${FIRST_FRAME.toString(16)}`;
    const times = timesOf(await run(where, calls, String(rounds), "1", frame, String(process.pid)));
    await run(where, "xl", "destroy", "1");
    return reportOf(times, await measureDomains(host, where, folder, asked));
  } finally {
    await host.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export const hypercalls: Bench = {
  name: "hypercalls",
  about:
    "A live host and processes that reach it through libxendev: the way of one call, mappings of many frames, and what Debian's xl takes to create, list and shut down domains.",
  needs: ["xen-utils", "libxen-dev", "c-compiler"],
  run: measure,
};
