// SPDX-License-Identifier: Apache-2.0
//
// Hypercalls of a process outside, beside a bare echo over a Unix socket; mapping
// frames; and `xl list` of many domains.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyKernel } from "../examples/guests/tiny-kernel.ts";
import { createdomain } from "../src/core/hypervisor/domctl.ts";
import { isFailure } from "../src/core/engine/errno.ts";
import { compiled } from "../src/live/compile.ts";
import { directory } from "../src/live/directory.ts";
import type { Directory } from "../src/live/directory.ts";
import { LiveHost } from "../src/live/live-host.ts";
import { libxendev } from "../src/live/native.ts";
import { startOnHost } from "../src/live/run.ts";
import { digits, median, quantile } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report } from "./bench.ts";

/** How much slower than the echo a hypercall may be, and a long list than a short one. */
const ECHO_LIMIT = 2;
const LIST_LIMIT = 3;
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

/** Processor time of a child and of this process, which is the host, in ms. */
async function listCost(where: Directory): Promise<number> {
  const before = process.resourceUsage();
  const since = performance.now();
  await run(where, "xl", "list");
  const after = process.resourceUsage();
  const host = (after.userCPUTime - before.userCPUTime + after.systemCPUTime - before.systemCPUTime) / 1000;
  return Math.min(host, performance.now() - since);
}

/** Domains that are only there. */
function populate(host: LiveHost, count: number): void {
  host.world.boot((machine) => {
    for (let made = 0; made < count; made++) {
      const found = createdomain(machine, { domid: 0, process: "bench" }, { maxVcpus: 1 });
      if (isFailure(found)) throw new Error(`no domain: ${found.errno}`);
    }
  });
}

async function lists(host: LiveHost, where: Directory, domains: number, rounds: number): Promise<number> {
  populate(host, domains);
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) costs.push(await listCost(where));
  return median(costs);
}

function reportOf(
  times: Map<string, number[]>,
  short: number,
  long: number,
  [few, many]: [number, number],
): Report {
  const us = (kind: string, share: number): number => quantile(times.get(kind) ?? [], share) / 1000;
  const kinds = [...times.keys()];
  const ratio = us("hypercall", 0.5) / us("echo", 0.5);
  const counted: Claim = {
    text: "every kind of call was answered",
    measured: kinds.map((kind) => `${times.get(kind)?.length} ${kind}`).join(", "),
    holds: kinds.length === 4,
    timed: false,
  };
  return {
    tables: [
      {
        title: "One call",
        note: "Microseconds. `echo` is a request and a reply of a hypercall's size between two C processes over a Unix socket; `hypercall` is `xen_version`; the others map and unmap 1,024 frames, one after another or every second one.",
        columns: ["call", "calls", "p50", "p99"],
        rows: kinds.map((kind) => [
          kind,
          times.get(kind)?.length ?? 0,
          digits(us(kind, 0.5), 1),
          digits(us(kind, 0.99), 1),
        ]),
      },
      {
        title: "xl list",
        note: "Milliseconds of the host's processor time for one list.",
        columns: ["domains", "ms"],
        rows: [
          [few, digits(short, 1)],
          [many, digits(long, 1)],
        ],
      },
    ],
    claims: [
      counted,
      {
        text: `the median hypercall takes at most ${ECHO_LIMIT} times the median echo`,
        measured: `${digits(ratio, 2)} times`,
        holds: ratio <= ECHO_LIMIT,
        timed: true,
      },
      {
        text: `listing ${many} domains takes less than ${LIST_LIMIT} times what ${few} take`,
        measured: `${digits(long / short, 2)} times`,
        holds: long / short < LIST_LIMIT,
        timed: true,
      },
    ],
  };
}

async function measure({ quick, progress }: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const where = directory(join(folder, "host"));
  const calls = compiled({
    name: "hypercall-bench",
    folder: join(import.meta.dirname, "hypercalls"),
    files: ["calls.c"],
    flags: ["-D__XEN_TOOLS__"],
    libraries: [],
  });
  writeFileSync(join(folder, "tiny.elf"), tinyKernel());
  writeFileSync(
    join(folder, "tiny.cfg"),
    `name = "tiny"\ntype = "pvh"\nkernel = "${folder}/tiny.elf"\nmemory = 32\n`,
  );
  const options = { where, config: {}, trace: null, code: "bench", warn: () => {}, crashed: () => {} };
  const host = await LiveHost.start(options);
  try {
    await run(where, "xl", "create", "-q", join(folder, "tiny.cfg"));
    progress("hypercalls and echoes");
    const rounds = quick ? 2 : 50;
    const times = timesOf(await run(where, calls, String(rounds), "1", `0x${FIRST_FRAME.toString(16)}`));
    const sizes: [number, number] = quick ? [10, 100] : [100, 1000];
    progress(`xl list of ${sizes[0]} domains`);
    const short = await lists(host, where, sizes[0] - 1, quick ? 3 : 15);
    progress(`xl list of ${sizes[1]} domains`);
    const long = await lists(host, where, sizes[1] - sizes[0], quick ? 3 : 15);
    await run(where, "xl", "destroy", "1");
    return reportOf(times, short, long, sizes);
  } finally {
    await host.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export const hypercalls: Bench = {
  name: "hypercalls",
  about:
    "A live host and processes that reach it through libxendev: the way of one call, of mappings of many frames, and of Debian's `xl list`.",
  needs: ["xen-utils", "libxen-dev", "c-compiler"],
  run: measure,
};
