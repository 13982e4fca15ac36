// SPDX-License-Identifier: Apache-2.0
//
// Compares a live run with a recording: as any other, but for races that
// emulation always decided in one way.

import { calls } from "./compare/calls.ts";
import { COMPARATORS, factsOf, subjectOf } from "./compare/index.ts";
import { add, differences, type Difference, type Fact, type Facts } from "./compare/facts.ts";
import type { Players } from "./live-collector.ts";
import type { Recording } from "./recording.ts";
import { readExceptions } from "./tables.ts";

/** Lines that may be missing on either side. */
interface Race {
  list: RegExp;
  line: RegExp;
  /** Only the last of the list, or only one that follows another just like it. */
  only?: "last" | "repeated";
}

const RACES: readonly Race[] = [
  // xl save, and xl's monitor, end as soon as destroydomain returns: xenstored may
  // tell them of the death they caused before that. xl shutdown -w ends when it
  // sees the domain shut down, or when it sees it destroyed.
  {
    list: /^(?:monitor|xl (?:save|shutdown|reboot)) \[\d+\]: events$/,
    line: /^@releaseDomain 3\/\d$/,
    only: "last",
  },
  // xl writes a domain's console while xenconsoled, which @introduceDomain has told
  // of the domain, sets its watch on it: it is told of what is written later only.
  { list: /^xenconsoled: events$/, line: /^\/local\/domain\/D\d+\/console/ },
  // Or xenconsoled, or a backend, has answered before xl watches for the answer: a
  // watch's first event is then all there is.
  {
    list: /^(?:xl|monitor) .*: events$/,
    line: /^\/local\/domain\/(?:D\d+\/console\/tty|0\/backend\/v\w+\/D\d+\/\d+\/state) \d\/\d$/,
    only: "repeated",
  },
  // Where creation fails xl destroys twice. A xenstored outside and xenconsoled may
  // still hold the domain at the second time, and let go of it in the middle.
  {
    list: /^\[15\] xl create -p \/tmp\/gy\.cfg$/,
    line: /err\| libxl: error: .*(?:_destroy_|destroy_domid|domain_type)/,
  },
  {
    list: /^xl create \[15\], process 1$/,
    line: /^(?:domctl pausedomain dom=D7 = (?:-1 )?errno=3|sysctl getdomaininfolist first=D7 = ok)$/,
  },
  // xenconsoled says where a domain's console is while xl writes what else the domain has.
  { list: /^watchers: /, line: /^\/local\/domain\/D\d+\/console\/tty w1$/ },
  // xenstored drops an event that is still waiting on the same connection.
  { list: /^watchers: .* \(vbd \d+\)$/, line: /\/state w1$/ },
];

function isOpen({ only }: Race, lines: readonly Fact[], at: number): boolean {
  if (only === "last") return at === lines.length - 1;
  return only === undefined || lines[at - 1]?.text === lines[at]?.text;
}

/** Those who deal with several devices of a domain at once. */
const DEALS_WITH_DEVICES = /^(?:watchers|guest D\d+|dom0 kernel): /;
const DEVICE = /\b(vbd|vif)\/(?:D\d+\/)?(\d+)\//;

/** The same words where chance, and not the host, chooses between two. */
function settled(list: string, text: string): string {
  // A terminal that was given back need not be the next to be had.
  const same = text.replace(/\/dev\/pts\/pts\d+/, "/dev/pts/N");
  // xl's monitor may have destroyed a domain before the xl that waits for its shutdown looks.
  return / shutdown -w /.test(list)
    ? same.replace("has been destroyed", "has been shut down, reason code 0")
    : same;
}

/** Two devices get on beside each other, each in an order of its own. */
function byDevice(found: Facts): Facts {
  const split: Facts = new Map();
  for (const [list, lines] of found) {
    const deals = DEALS_WITH_DEVICES.test(list) && lines.some(({ text }) => DEVICE.test(text));
    for (const line of lines) {
      line.text = settled(list, line.text);
      const [, bus, id] = (deals && DEVICE.exec(line.text)) || [];
      const { after: _, ...rest } = line;
      // Behind how many requests an event comes counts those about devices, too.
      if (bus === undefined) add(split, list, deals ? rest : line);
      else add(split, `${list} (${bus} ${id})`, rest);
    }
  }
  return split;
}

/** What is not compared with oxenstored in the place of the C daemon that was recorded, whose trace it cannot write. */
const WITH_OXENSTORED = readExceptions("differences-oxenstored.md");

/** Without what oxenstored does otherwise; nodes by name, as it lists children in an order of its own. */
function forOxenstored(name: string, { scenario }: Recording, found: Facts): Facts {
  const rules = WITH_OXENSTORED.filter((rule) => rule.comparator === name && rule.scenario.test(scenario));
  const kept: Facts = new Map();
  for (const [list, lines] of found) {
    const here = rules.filter((rule) => rule.list.test(list));
    // Frames, ports and grants are numbered as the C daemon's trace names them first.
    const left = lines
      .filter(({ text }) => !here.some((rule) => rule.line.test(text)))
      .map((fact) => ({ ...fact, text: fact.text.replaceAll(/(:(?:frame|port|ref))\d+/g, "$1") }));
    if (left.length === 0) continue;
    kept.set(list, name === "snapshots" ? left.toSorted((a, b) => (a.text < b.text ? -1 : 1)) : left);
  }
  return kept;
}

function facts(
  comparator: (typeof COMPARATORS)[number],
  recording: Recording,
  { xenstored, xl }: Players,
): Facts {
  const all = byDevice(factsOf(comparator, subjectOf(recording)));
  // The real xl says what is its own business: how often it was woken, and when.
  if (xl === "real")
    for (const [list, lines] of all)
      all.set(
        list,
        lines.filter(({ text }) => !/\blibxl: (?:debug|detail): /.test(text)),
      );
  const found = xenstored === "ocaml" ? forOxenstored(comparator.name, recording, all) : all;
  for (const [list, lines] of found) {
    for (const race of RACES.filter((one) => one.list.test(list))) {
      lines.forEach((line, at) => {
        if (race.line.test(line.text) && isOpen(race, lines, at)) line.brief = true;
      });
    }
  }
  return found;
}

/** Every list in which a live run differs from a recording. */
export function compareLive(expected: Recording, ours: Recording, players: Players): Difference[] {
  const all = players.xl === "real" ? [...COMPARATORS, calls] : COMPARATORS;
  return all.flatMap((comparator) =>
    differences(comparator.name, facts(comparator, expected, players), facts(comparator, ours, players)),
  );
}
