// SPDX-License-Identifier: Apache-2.0

import { subjectOf } from "../compare/index.ts";
import type { Request, StoreEvent } from "../connections.ts";
import type { Recording, StoreLine, StoreMessage } from "../recording.ts";
import { remove, set, swap, type Mutation } from "./damage.ts";

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

/** Requests that change the store, and events: dropped, swapped, changed. */
export function ofStore(recording: Recording): Mutation[] {
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
  for (const event of recording.watch.filter(({ kind }) => kind === "EVENT")) {
    found.push({ what: `watch.log: ${event.path} dropped`, apply: () => remove(recording.watch, [event]) });
    found.push({
      what: `watch.log: ${event.path} changed`,
      apply: () => set(event, "path", `${event.path}x`),
    });
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
