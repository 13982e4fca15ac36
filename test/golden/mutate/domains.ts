// SPDX-License-Identifier: Apache-2.0

import type { DomainRow, Recording } from "../recording.ts";
import { remove, type Mutation } from "./damage.ts";

/** Whole states: the rows between two changes of flags, code or vCPUs. */
export function ofDomains(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const [domid, rows] of livesOf(recording.domains)) {
    const states = statesOf(rows);
    if (states.length < 5) continue;
    states.forEach((rows, at) => {
      const what = `state ${at} of domain ${domid}`;
      if (rows[0]!.fields["flags"]?.endsWith("d")) return;
      found.push({ what: `${what} dropped`, apply: () => remove(recording.domains, rows) });
      const next = states[at + 1];
      if (rows[0]!.change === "CHG" && next && !next[0]!.fields["flags"]?.endsWith("d"))
        found.push({
          what: `${what} and the next swapped`,
          apply: () => swapRows(recording.domains, rows, next),
        });
      if (rows[0]!.change === "GONE") return;
      for (const [name, value] of [
        ["flags", "--p-d-"],
        ["code", "7"],
        ["vcpus", "9"],
        ["maxvcpuid", "9"],
      ] as const) {
        found.push({ what: `${name} of ${what} changed`, apply: () => setField(rows, name, value) });
      }
    });
  }
  return found;
}

/** The rows of each domain, from NEW on. */
function livesOf(rows: DomainRow[]): [number, DomainRow[]][] {
  const lives: [number, DomainRow[]][] = [];
  for (const row of rows) {
    const life = lives.findLast(([domid]) => domid === row.domid);
    if (life && row.change !== "NEW") life[1].push(row);
    else lives.push([row.domid, [row]]);
  }
  return lives;
}

function statesOf(rows: DomainRow[]): DomainRow[][] {
  const states: DomainRow[][] = [];
  const key = ({ change, fields }: DomainRow): string => {
    const { flags, code, vcpus, maxvcpuid } = fields;
    return `${change === "GONE"} ${flags?.replaceAll(/[rb]/g, "-")} ${code} ${vcpus} ${maxvcpuid}`;
  };
  for (const row of rows) {
    const last = states.at(-1);
    if (last && key(last[0]!) === key(row)) last.push(row);
    else states.push([row]);
  }
  return states;
}

function setField(rows: DomainRow[], name: string, value: string): () => void {
  const before = rows.map((row) => row.fields[name]!);
  for (const row of rows) row.fields[name] = value;
  return () => rows.forEach((row, at) => (row.fields[name] = before[at]!));
}

/** Moves the first rows behind the second ones. */
function swapRows(list: DomainRow[], first: DomainRow[], second: DomainRow[]): () => void {
  const before = [...list];
  const moved = list.filter((row) => !first.includes(row));
  moved.splice(moved.indexOf(second.at(-1)!) + 1, 0, ...first);
  list.splice(0, list.length, ...moved);
  return () => list.splice(0, list.length, ...before);
}
