// SPDX-License-Identifier: Apache-2.0

import { isChosenByXen, type Names } from "../names.ts";
import type { Call, Process } from "../recording.ts";
import { add, type Comparator, type Facts } from "./facts.ts";
import { isStateChanging, ownerOf } from "./hypercalls.ts";

/**
 * (7) Every call of a process outside: questions, too, and what it maps. What a
 * program asks follows from what it was answered. Between two calls that change
 * something each question counts once, where it is asked first: how often it is
 * asked depends on events. Pages populated one by one and pages mapped are
 * totals. With the real xl only: ours asks nothing that it knows.
 */
export const calls: Comparator = {
  name: "calls",
  facts({ recording, names }) {
    const facts: Facts = new Map();
    const counts = new Map<string, number>();
    for (const process of recording.processes) {
      if (process.commandLine === "") continue;
      const owner = ownerOf(recording, process);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      for (const line of linesOf(names, process)) add(facts, `${owner}, process ${counts.get(owner)}`, line);
    }
    return facts;
  },
};

/** Calls that are added up: the argument that says how many pages. */
const ADDED_UP: { readonly [name: string]: string } = {
  "privcmd MMAPBATCH_V2": "num",
  "privcmd MMAP_RESOURCE": "num",
  "memory_op populate_physmap": "nr",
};

function linesOf(names: Names, process: Process): string[] {
  const lines: string[] = [];
  const totals = new Map<string, number>();
  let asked = new Set<string>();
  for (const call of process.calls) {
    const text = described(names, call);
    const argument = ADDED_UP[call.name];
    if (argument !== undefined) totals.set(text, (totals.get(text) ?? 0) + Number(call.args[argument]));
    else if (isStateChanging(call)) {
      lines.push(text);
      asked = new Set();
    } else if (!asked.has(text)) {
      asked.add(text);
      lines.push(text);
    }
  }
  return [...lines, ...[...totals].map(([text, pages]) => `${text}: ${pages} pages in all`)];
}

/** Which domain a call is about; addresses and amounts left out. */
const DOMAIN = new Set(["dom", "first"]);

function described(names: Names, call: Call): string {
  const args = Object.entries(call.args)
    .filter(([name]) => DOMAIN.has(name))
    .map(([name, value]) => `${name}=${isChosenByXen(call) ? "any" : names.domid(value)}`);
  const plain = call.name === "xen_version" ? call.plain.map((word) => Number(word)) : [];
  const ended = call.errno === null ? "ok" : `errno=${call.errno}`;
  return [call.name, ...plain, ...args, "=", ended].join(" ");
}
