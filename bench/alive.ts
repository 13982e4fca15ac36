// SPDX-License-Identifier: Apache-2.0
//
// Ten thousand domains at once: what the end of one costs, where the hypervisor
// says which domains changed and where everybody has to look at all of them.

import type { XenVersionName } from "../src/core/hypervisor/version.ts";
import { BenchHost } from "./bench-host.ts";
import type { Doings } from "./bench-host.ts";
import { cpuMicros, digits, median } from "./bench.ts";
import type { Bench, BenchOptions, Claim, Report } from "./bench.ts";

const FACTOR_MAX = 1.2;
/** Bitmaps are a level deeper where there is more in them: a few words each. */
const READS_FACTOR_MAX = 1.05;

/** Who does something when a domain ends. */
type Party = "xenstored" | "monitors" | "others";

/** What one more domain took: its creation and its end in processor time, of its end also who did what. */
interface Cycle {
  micros: number;
  reads: number;
  did: { readonly [party in Party]: Doings };
}

function partyOf(thread: string): Party {
  if (thread === "xenstored") return "xenstored";
  return thread.endsWith(".monitor") ? "monitors" : "others";
}

function byParty(doings: ReadonlyMap<string, Doings>): Cycle["did"] {
  const did = {
    xenstored: { steps: 0, looks: 0, reads: 0 },
    monitors: { steps: 0, looks: 0, reads: 0 },
    others: { steps: 0, looks: 0, reads: 0 },
  };
  for (const [thread, { steps, looks }] of doings) {
    const party = did[partyOf(thread)];
    party.steps += steps;
    party.looks += looks;
  }
  return did;
}

/** A host on which domains gather. They stay paused: what is measured is who looks at them. */
class Crowd {
  readonly version: XenVersionName;
  readonly monitored: boolean;
  readonly #host: BenchHost;
  size = 0;

  constructor(version: XenVersionName, monitored: boolean) {
    this.version = version;
    this.monitored = monitored;
    this.#host = new BenchHost({ version });
  }

  growTo(size: number, progress: (text: string) => void): void {
    for (; this.size < size; this.size++) {
      if (this.size % 500 === 0) progress(`Xen ${this.version}: ${this.size} of ${size} domains`);
      if (this.monitored) this.#host.create("", "-p");
      else this.#host.create("", "-p", "-e");
    }
  }

  /** One more domain comes, and goes again. Nobody of its own waits for its end. */
  cycle(): Cycle {
    const { world } = this.#host;
    const before = world.reads;
    const micros = cpuMicros(() => {
      const domid = this.#host.create("", "-p", "-e");
      world.takeDoings();
      this.#host.xl("destroy", String(domid));
    });
    return { micros, reads: world.reads - before, did: byParty(world.takeDoings()) };
  }
}

/** Cycles of several crowds in turn, so that the machine's moods meet all of them. */
function alternate(crowds: readonly Crowd[], rounds: number): Cycle[][] {
  const cycles: Cycle[][] = crowds.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, crowd] of crowds.entries()) (cycles[at] as Cycle[]).push(crowd.cycle());
  }
  return cycles;
}

const millis = (cycles: readonly Cycle[]): number => median(cycles.map(({ micros }) => micros)) / 1000;

function row(crowd: Crowd, cycles: readonly Cycle[]): (string | number)[] {
  const { xenstored, monitors, others } = (cycles.at(-1) as Cycle).did;
  return [
    crowd.version,
    crowd.monitored ? "yes" : "no",
    crowd.size,
    xenstored.looks,
    monitors.looks,
    others.looks,
    xenstored.steps + others.steps,
    monitors.steps,
    median(cycles.map(({ reads }) => reads)),
    digits(millis(cycles), 1),
  ];
}

const COLUMNS = [
  "Xen",
  "monitors",
  "alive",
  "looks by xenstored",
  "looks by monitors",
  "looks by others",
  "steps without monitors",
  "monitors' steps",
  "cells read, come and gone",
  "ms, come and gone",
];

/** Xen 4.23, whose bitmap says what changed; each xl ends with its creation. */
function withBitmap(sizes: readonly [number, number], rounds: number, { progress }: BenchOptions): Report {
  const crowds = sizes.map((size) => {
    const crowd = new Crowd("4.23", false);
    crowd.growTo(size, progress);
    return crowd;
  });
  alternate(crowds, 3);
  progress("Xen 4.23: one more domain, again and again");
  const cycles = alternate(crowds, rounds);
  const [few, many] = cycles as [Cycle[], Cycle[]];
  const [first, last] = [few[0] as Cycle, many[0] as Cycle];
  const ratio = millis(many) / millis(few);
  const reads = (of: readonly Cycle[]): number => median(of.map((cycle) => cycle.reads));
  const same = JSON.stringify(first.did) === JSON.stringify(last.did);
  return {
    tables: [
      { title: "", columns: COLUMNS, rows: crowds.map((crowd, at) => row(crowd, cycles[at] as Cycle[])) },
    ],
    claims: [
      {
        text: `Xen 4.23: one more domain costs at most ${FACTOR_MAX}× beside ${sizes[1]} what it costs beside ${sizes[0]}`,
        measured: `${digits(ratio, 2)}×`,
        holds: ratio <= FACTOR_MAX,
        timed: true,
      },
      {
        text: `Xen 4.23: it reads at most ${READS_FACTOR_MAX}× the cells`,
        measured: `${reads(many)} and ${reads(few)}`,
        holds: reads(many) <= READS_FACTOR_MAX * reads(few),
        timed: false,
      },
      {
        text: "Xen 4.23: its end takes the same steps and the same looks at domains",
        measured: same ? "the same" : `${JSON.stringify(first.did)} and ${JSON.stringify(last.did)}`,
        holds: same,
        timed: false,
      },
    ],
  };
}

/** Xen 4.17: at each event everybody looks for himself. One crowd that grows. */
function withRescans(sizes: readonly number[], rounds: number, { progress }: BenchOptions): Report {
  const crowd = new Crowd("4.17", true);
  const rows: (string | number)[][] = [];
  const ends: { size: number; did: Cycle["did"] }[] = [];
  for (const size of sizes) {
    crowd.growTo(size, progress);
    progress(`Xen 4.17: one more beside ${size}`);
    const cycles = Array.from({ length: rounds }, () => crowd.cycle());
    rows.push(row(crowd, cycles));
    ends.push({ size, did: (cycles.at(-1) as Cycle).did });
  }
  const { size: small, did: few } = ends[0] as (typeof ends)[0];
  const { size: large, did: many } = ends.at(-1) as (typeof ends)[0];
  const perDomain = (party: Party, what: keyof Doings): number =>
    (many[party][what] - few[party][what]) / (large - small);
  const grows = (party: Party, who: string): Claim => ({
    text: `Xen 4.17: ${who} look at every domain alive, at each event`,
    measured: `${digits(perDomain(party, "looks"), 2)} looks a domain alive`,
    holds: perDomain(party, "looks") >= 1 && Number.isInteger(perDomain(party, "looks")),
    timed: false,
  });
  const rest = perDomain("xenstored", "steps") + perDomain("others", "steps") + perDomain("others", "looks");
  return {
    tables: [{ title: "", columns: COLUMNS, rows }],
    claims: [
      grows("xenstored", "xenstored's rescans"),
      grows("monitors", "the monitors that `xl create` leaves behind"),
      {
        text: "Xen 4.17: nothing else grows: all others' steps and looks, and xenstored's steps",
        measured: `${digits(rest, 3)} a domain alive`,
        holds: rest === 0,
        timed: false,
      },
    ],
  };
}

export const alive: Bench = {
  name: "alive",
  about:
    "Ten thousand domains at once, paused. One more is created and destroyed: what does that cost, and who looks at all the others? A look is one domain that somebody asked the hypervisor about (getdomaininfo). Looks and steps are those of the domain's end; processor time is that of its creation and its end.",
  run: (options) => {
    const bitmap = withBitmap(options.quick ? [20, 100] : [100, 10_000], options.quick ? 9 : 41, options);
    const rescans = withRescans(options.quick ? [20, 60] : [100, 1_000, 3_000, 10_000], 3, options);
    const rows = [...bitmap.tables, ...rescans.tables].flatMap((table) => table.rows);
    return {
      tables: [{ title: "One more domain, by how many are alive", columns: COLUMNS, rows }],
      claims: [...bitmap.claims, ...rescans.claims],
    };
  },
};
