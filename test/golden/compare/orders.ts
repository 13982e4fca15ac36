// SPDX-License-Identifier: Apache-2.0

import { saidBy, renamedRole } from "../exchanges.ts";
import type { Names } from "../names.ts";
import type { Order } from "../tables.ts";
import { add, type Comparator, type Facts, type Subject } from "./facts.ts";

/** Something that happened, whoever did it. */
export interface Happening {
  time: number;
  /** The line, row or call that says so. */
  from: { time: number };
  /** Which file the time comes from: times of two files are only known to SLACK_MS. */
  source: "store" | "calls" | "states";
  text: string;
}

/** How far apart two writers' stamps of one moment may lie in the recordings. */
const SLACK_MS = 50;

/**
 * (3) Orders across actors: only those listed in orders.md. For each order and
 * each thing it is about (a domain, a device), says whether it holds.
 */
export function ordersComparator(orders: Order[]): Comparator {
  return {
    name: "orders",
    facts(subject) {
      const facts: Facts = new Map();
      const all = happenings(subject);
      for (const order of orders) {
        for (const [thing, verdict] of judge(order, all).toSorted(([a], [b]) => (a < b ? -1 : 1)))
          add(facts, `order ${order.name}`, `${thing}: ${verdict}`);
      }
      return facts;
    },
  };
}

/** For each thing that both sides happened to: `holds`, or what came too early. */
function judge(order: Order, all: Happening[]): [string, string][] {
  return pairs(order, all).map(([thing, first, second]) => {
    const slack = first.source === second.source ? 0 : SLACK_MS;
    return [
      thing,
      first.time <= second.time + slack ? "holds" : `"${second.text}" came before "${first.text}"`,
    ];
  });
}

/** For each thing: the two happenings that the order is about. */
export function pairs(order: Order, all: Happening[]): [string, Happening, Happening][] {
  const before = occurrences(order.before, all);
  const found: [string, Happening, Happening][] = [];
  for (const [thing, second] of occurrences(order.after, all)) {
    const first = before.get(thing);
    if (first) found.push([thing, first, second]);
  }
  return found;
}

/** The first happening that matches, for each thing: the values of the pattern's groups, by the groups' names. */
function occurrences(pattern: RegExp, all: Happening[]): Map<string, Happening> {
  const found = new Map<string, Happening>();
  for (const one of all) {
    const groups = pattern.exec(one.text)?.groups;
    if (!groups) continue;
    const thing = Object.keys(groups)
      .sort()
      .map((name) => groups[name])
      .join(" ");
    if (!found.has(thing)) found.set(thing, one);
  }
  return found;
}

/** Everything that happened in a recording, by time. */
export function happenings({ recording, actors, names }: Subject): Happening[] {
  const all: Happening[] = [];
  for (const actor of actors) {
    const role = renamedRole(names, actor.role);
    const said = saidBy(names, actor);
    actor.connection.exchanges.forEach((exchange, at) => {
      all.push({
        time: exchange.time,
        from: exchange.line,
        source: "store",
        text: `${role}: ${said[at]!.type} ${said[at]!.what}`,
      });
    });
  }
  for (const process of recording.processes) {
    for (const call of process.calls)
      all.push({
        time: call.time,
        from: call,
        source: "calls",
        text: `${process.program} calls ${callText(names, call.name, call.args, call.out)}`,
      });
  }
  const state = new Map<number, string>();
  for (const row of recording.domains) {
    const text = row.change === "GONE" ? "GONE" : (row.fields["flags"] ?? "").replaceAll(/[rb]/g, "-");
    if (state.get(row.domid) !== text)
      all.push({
        time: row.time,
        from: row,
        source: "states",
        text: `domain ${names.domid(row.domid)} is ${row.change === "NEW" ? "NEW " : ""}${text}`,
      });
    state.set(row.domid, text);
  }
  return all.sort((a, b) => a.time - b.time);
}

function callText(names: Names, name: string, args: Record<string, string>, out: string): string {
  const dom = args["dom"] === undefined ? "" : ` ${names.domid(args["dom"])}`;
  const made = /^domid=(\d+)/.exec(out);
  return made ? `${name} = ${names.domid(made[1]!)}` : name + dom;
}
