// SPDX-License-Identifier: Apache-2.0
//
// Domains that live one after another beside others that stay: does the ten
// thousandth cost what the hundredth did?

import { BenchHost } from "./bench-host.ts";
import { cpuMicros, digits, median } from "./bench.ts";
import type { Bench, BenchOptions, Report } from "./bench.ts";

const FACTOR_MAX = 1.2;
/** How long a domain lives, and how long the host rests after it, in its own microseconds. */
const LIFE = 2_000_000;
const REST = 500_000;

/** What one life took. */
interface Life {
  micros: number;
  steps: number;
}

function live(host: BenchHost): Life {
  const from = host.steps;
  const micros = cpuMicros(() => {
    host.create("passing");
    host.pass(LIFE);
    host.xl("destroy", "passing");
    host.pass(REST);
  });
  return { micros, steps: host.steps - from };
}

/** How many cells there are of each type. */
function census(host: BenchHost): Map<string, number> {
  const found = new Map<string, number>();
  for (const { type } of host.world.entries()) found.set(type.name, (found.get(type.name) ?? 0) + 1);
  return found;
}

/** Types of which every life leaves a cell behind. */
function growing(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  lives: number,
): string[] {
  return [...after].flatMap(([type, count]) => (count - (before.get(type) ?? 0) >= lives / 2 ? [type] : []));
}

function measure({ quick, progress }: BenchOptions): Report {
  const [beside, lives, window] = quick ? [10, 60, 10] : [100, 10_000, 100];
  const host = new BenchHost();
  for (let domid = 1; domid <= beside; domid++) host.create(`stays${domid}`);
  const done: Life[] = [];
  const rows: (string | number)[][] = [];
  let early = new Map<string, number>();
  for (let at = 1; at <= lives; at++) {
    done.push(live(host));
    if (at === 2 * window) early = census(host);
    const isMark = [window, 2 * window, lives / 10, lives / 4, lives / 2, lives].includes(at);
    if (isMark || at % 500 === 0) progress(`${at} of ${lives} lives`);
    if (!isMark) continue;
    const recent = done.slice(-window);
    rows.push([
      at,
      digits(median(recent.map(({ micros }) => micros)) / 1000, 2),
      median(recent.map(({ steps }) => steps)),
      host.world.size,
      host.world.timersSet,
    ]);
  }
  const costs = done.map(({ micros }) => micros);
  const ratio = median(costs.slice(-window)) / median(costs.slice(window, 2 * window));
  const stepsEarly = median(done.slice(window, 2 * window).map(({ steps }) => steps));
  const stepsLate = median(done.slice(-window).map(({ steps }) => steps));
  const left = growing(early, census(host), lives - 2 * window);
  const expected = ["domid-incarnation", "xenstore-incarnation"];
  return {
    tables: [
      {
        title: `Lives beside ${beside} domains that stay`,
        note: `A life: \`xl create\` of a PV domain, ${LIFE / 1e6} s in which its kernel boots and idles, \`xl destroy\`, until everybody waits again. Medians over the last ${window} lives; processor time.`,
        columns: ["lives", "ms a life", "steps a life", "cells on the host", "timers"],
        rows,
      },
    ],
    claims: [
      {
        text: `a life after ${lives} others costs at most ${FACTOR_MAX}× what it did after ${2 * window}`,
        measured: `${digits(ratio, 2)}×`,
        holds: ratio <= FACTOR_MAX,
        timed: true,
      },
      {
        text: "it takes the same steps",
        measured: `${stepsEarly} and ${stepsLate}`,
        holds: stepsEarly === stepsLate,
        timed: false,
      },
      {
        text: "a life leaves nothing behind but how often its domid was used",
        measured: left.join(", ") || "nothing",
        holds: left.every((type) => expected.includes(type)),
        timed: false,
      },
    ],
  };
}

export const lives: Bench = {
  name: "lives",
  about:
    "Ten thousand domains, created and destroyed by `xl` one after another beside a hundred that stay. Cost has to follow the work, not the host's history.",
  run: measure,
};
