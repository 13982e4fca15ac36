// SPDX-License-Identifier: Apache-2.0
//
// Compares a live run with a recording: as any other, but for races that
// emulation always decided in one way.

import { calls } from "./compare/calls.ts";
import { COMPARATORS, factsOf, subjectOf } from "./compare/index.ts";
import { add, differences, type Difference, type Fact, type Facts } from "./compare/facts.ts";
import type { Recording } from "./recording.ts";

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
    for (const line of lines) {
      line.text = settled(list, line.text);
      const [, bus, id] = (DEALS_WITH_DEVICES.test(list) && DEVICE.exec(line.text)) || [];
      const { after: _, ...rest } = line;
      if (bus === undefined) add(split, list, line);
      else add(split, `${list} (${bus} ${id})`, rest);
    }
  }
  return split;
}

function facts(comparator: (typeof COMPARATORS)[number], recording: Recording): Facts {
  const found = byDevice(factsOf(comparator, subjectOf(recording)));
  for (const [list, lines] of found) {
    for (const race of RACES.filter((one) => one.list.test(list))) {
      lines.forEach((line, at) => {
        if (race.line.test(line.text) && isOpen(race, lines, at)) line.brief = true;
      });
    }
  }
  return found;
}

/**
 * Every list in which a live run differs from a recording.
 *
 * @param names comparators; all that fit the player where none are said
 */
export function compareLive(
  expected: Recording,
  ours: Recording,
  xl: "builtin" | "real",
  names?: readonly string[],
): Difference[] {
  const all = xl === "real" ? [...COMPARATORS, calls] : COMPARATORS;
  return all
    .filter(({ name }) => names?.includes(name) ?? true)
    .flatMap((comparator) =>
      differences(comparator.name, facts(comparator, expected), facts(comparator, ours)),
    );
}
