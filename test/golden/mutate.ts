// SPDX-License-Identifier: Apache-2.0
//
// Mechanical damage: for each comparator, copies of a recording that it must
// not take for the original. A mutation is applied in place and undone.

import { factsOf, subjectOf } from "./compare/index.ts";
import type { Comparator } from "./compare/facts.ts";
import { isStateChanging } from "./compare/hypercalls.ts";
import { happenings, pairs } from "./compare/orders.ts";
import type { Request, StoreEvent } from "./connections.ts";
import type { Call, DomainRow, Recording, StoreLine, StoreMessage } from "./recording.ts";
import { readOrders } from "./tables.ts";

export interface Mutation {
  what: string;
  /** Damages the recording and returns what repairs it. */
  apply(): () => void;
}

/** All mutations that this comparator must notice. */
export function mutationsFor(comparator: Comparator, recording: Recording): Mutation[] {
  switch (comparator.name) {
    case "domain-flags":
      return ofDomains(recording);
    case "store-connections":
      return ofStore(recording);
    case "orders":
      return ofOrders(recording);
    case "hypercalls":
      return ofCalls(recording);
    case "snapshots":
      return ofSnapshots(recording);
    default:
      return ofWords(comparator, recording);
  }
}

/** Whole states: the rows between two changes of flags, code or vCPUs. */
function ofDomains(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const domid of new Set(recording.domains.map((row) => row.domid))) {
    const states = statesOf(recording.domains.filter((row) => row.domid === domid));
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

function statesOf(rows: DomainRow[]): DomainRow[][] {
  const states: DomainRow[][] = [];
  const key = (row: DomainRow): string =>
    `${row.change === "GONE"} ${row.fields["flags"]?.replaceAll(/[rb]/g, "-")} ${row.fields["code"]} ${row.fields["vcpus"]} ${row.fields["maxvcpuid"]}`;
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

const STORE_CHANGES = new Set([
  "WRITE",
  "RM",
  "MKDIR",
  "SET_PERMS",
  "INTRODUCE",
  "WATCH",
  "UNWATCH",
  "TRANSACTION_END",
]);

function ofStore(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const actor of subjectOf(recording).actors) {
    if (actor.role.startsWith("bystander")) continue;
    const requests = actor.connection.exchanges.filter(
      (one): one is Request => one.kind === "request" && STORE_CHANGES.has(one.type) && one.body !== "F ",
    );
    const events = actor.connection.exchanges.filter((one): one is StoreEvent => one.kind === "event");
    requests.forEach((request, at) =>
      found.push(...ofRequest(recording, actor.role, request, requests[at + 1])),
    );
    events.forEach((event, at) => found.push(...ofEvent(recording, actor.role, event, events[at + 1])));
  }
  return found;
}

function ofRequest(
  recording: Recording,
  role: string,
  request: Request,
  next: Request | undefined,
): Mutation[] {
  const what = `${role}: ${request.type} ${request.body}`;
  const line = request.line as StoreMessage<"request">;
  const found: Mutation[] = [];
  // The connection is told by what it asks first.
  if (role !== "watchers")
    found.push({
      what: `${what}: dropped`,
      apply: () => remove<StoreLine>(recording.store, request.reply ? [line, request.reply] : [line]),
    });
  if (next && next.type === request.type && next.body !== request.body)
    found.push({
      what: `${what}: swapped with the next`,
      apply: () => swap(line, next.line as StoreMessage<"request">, "body"),
    });
  if (request.type === "WRITE")
    found.push({ what: `${what}: value changed`, apply: () => set(line, "body", `${line.body}x`) });
  if (request.type === "SET_PERMS")
    found.push({
      what: `${what}: permission changed`,
      apply: () =>
        set(
          line,
          "body",
          line.body.replace(
            / ([nrwb])(\d+) $/,
            (_, mode: string, domid: string) => ` ${mode === "b" ? "w" : "b"}${domid} `,
          ),
        ),
    });
  if (request.type === "RM")
    found.push({
      what: `${what}: path changed`,
      apply: () => set(line, "body", line.body.replace(/ $/, "x ")),
    });
  if (request.type === "TRANSACTION_END")
    found.push({ what: `${what}: aborted`, apply: () => set(line, "body", "F ") });
  return found;
}

function ofEvent(
  recording: Recording,
  role: string,
  event: StoreEvent,
  next: StoreEvent | undefined,
): Mutation[] {
  const what = `${role}: event ${event.path} ${event.token}`;
  const line = event.line as StoreMessage<"reply">;
  const found: Mutation[] = [
    { what: `${what}: dropped`, apply: () => remove<StoreLine>(recording.store, [line]) },
    { what: `${what}: path changed`, apply: () => set(line, "body", `${event.path}x ${event.token} `) },
  ];
  if (next && (next.path !== event.path || next.token !== event.token))
    found.push({
      what: `${what}: swapped with the next`,
      apply: () => swap(line, next.line as StoreMessage<"reply">, "body"),
    });
  return found;
}

/** The later of two ordered things made the earlier by a second. */
function ofOrders(recording: Recording): Mutation[] {
  const all = happenings(subjectOf(recording));
  return readOrders().flatMap((order) =>
    pairs(order, all).map(([thing, first, second]) => ({
      what: `${order.name} for ${thing || "the host"}: "${second.text}" before "${first.text}"`,
      apply: () => set(second.from, "time", first.time - 1000),
    })),
  );
}

function ofCalls(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const process of recording.processes) {
    const calls = process.calls.filter(isStateChanging);
    calls.forEach((call, at) => {
      const what = `${process.program} ${process.pid}: ${call.name} ${JSON.stringify(call.args)}`;
      found.push({ what: `${what}: dropped`, apply: () => remove(process.calls, [call]) });
      found.push({ what: `${what}: result changed`, apply: () => set(call, "result", call.result + 77) });
      const next = calls[at + 1];
      if (next && next.name !== call.name)
        found.push({
          what: `${what}: swapped with the next`,
          apply: () => swapCalls(process.calls, call, next),
        });
      for (const [name, value] of Object.entries(call.args))
        found.push({ what: `${what}: ${name} changed`, apply: () => set(call.args, name, `${value}9`) });
    });
  }
  return found.filter(
    (mutation) => !mutation.what.includes("BIND_INTERDOMAIN") || !mutation.what.endsWith("result changed"),
  );
}

function swapCalls(list: Call[], first: Call, second: Call): () => void {
  const [i, j] = [list.indexOf(first), list.indexOf(second)];
  [list[i], list[j]] = [second, first];
  return () => ([list[i], list[j]] = [first, second]);
}

function ofSnapshots(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const snapshot of recording.snapshots.filter((one) => !one.torn)) {
    snapshot.nodes.forEach((node, at) => {
      const what = `${snapshot.name}: ${node.path}`;
      found.push({ what: `${what}: dropped`, apply: () => remove(snapshot.nodes, [node]) });
      found.push({ what: `${what}: value changed`, apply: () => set(node, "value", `${node.value}x`) });
      const [first = ""] = node.permissions;
      found.push({
        what: `${what}: permission changed`,
        apply: () => set(node.permissions, 0, (first.startsWith("n") ? "r" : "n") + first.slice(1)),
      });
      found.push({ what: `${what}: reader added`, apply: () => append(node.permissions, "r77") });
      const next = snapshot.nodes[at + 1];
      if (next)
        found.push({
          what: `${what}: value swapped with the next`,
          apply: () =>
            next.value === node.value ? set(node, "path", `${node.path}x`) : swap(node, next, "value"),
        });
    });
  }
  return found;
}

/** Lines of output that no exception leaves out, and exit codes. */
function ofWords(comparator: Comparator, recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const entry of recording.commands) {
    if (entry.kind === "note") continue;
    found.push({ what: `${entry.line}: exit code`, apply: () => set(entry, "exitCode", entry.exitCode + 1) });
    found.push({
      what: `${entry.line}: dropped`,
      apply: () => remove<Recording["commands"][number]>(recording.commands, [entry]),
    });
    found.push({ what: `${entry.line}: unexpected word`, apply: () => append(entry.stderr, "unexpected") });
    for (const lines of [entry.stdout, entry.stderr]) {
      lines.forEach((line, at) => {
        if (line.trim() === "" || /: (?:debug|detail): |^xencall:/.test(line)) return;
        found.push({
          what: `${entry.line}: "${line}" changed`,
          apply: () => set(lines, at, `${line.slice(0, 1)}x${line.slice(1)}`),
        });
        found.push({ what: `${entry.line}: "${line}" dropped`, apply: () => removeAt(lines, at) });
      });
    }
  }
  const kept = factsOf(comparator, subjectOf(recording));
  return kept.size === 0 ? [] : found;
}

function set<T extends object, K extends keyof T>(object: T, key: K, value: T[K]): () => void {
  const before = object[key];
  object[key] = value;
  return () => (object[key] = before);
}

function swap<T extends object, K extends keyof T>(one: T, other: T, key: K): () => void {
  const before = [one[key], other[key]] as const;
  [one[key], other[key]] = [before[1], before[0]];
  return () => ([one[key], other[key]] = [before[0], before[1]]);
}

function append<T>(list: T[], item: T): () => void {
  list.push(item);
  return () => list.pop();
}

function remove<T>(list: T[], items: T[]): () => void {
  const before = [...list];
  const kept = list.filter((item) => !items.includes(item));
  list.splice(0, list.length, ...kept);
  return () => list.splice(0, list.length, ...before);
}

function removeAt<T>(list: T[], at: number): () => void {
  const [item] = list.splice(at, 1);
  return () => list.splice(at, 0, item!);
}
