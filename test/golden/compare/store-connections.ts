// SPDX-License-Identifier: Apache-2.0

import { changesStore, saidBy, renamedRole, type Said } from "../exchanges.ts";
import { renamePaths } from "../names.ts";
import { add, type Comparator, type Facts } from "./facts.ts";

/**
 * (2) What each actor wrote, in which transactions, with which answer, and
 * which events it got, each in exact order. An event may lie one request
 * earlier or later: xenstored sends it when the connection's buffer has room,
 * which is a race with the client's next request.
 */
export const storeConnections: Comparator = {
  name: "store-connections",
  facts({ recording, actors, names }) {
    const facts: Facts = new Map();
    for (const { kind, path, token } of recording.watch) {
      if (kind === "EVENT") add(facts, "watchers: what they printed", `${renamePaths(names, path)} ${token}`);
    }
    for (const actor of actors) {
      const role = renamedRole(names, actor.role);
      const said = saidBy(names, actor);
      const bystander = role.startsWith("bystander");
      let requests = 0;
      const changing = said.filter((one) => one.kind === "event" || changesStore(one));
      for (const one of withoutConflicts(role.startsWith("guest") ? withoutAborted(changing) : changing)) {
        if (one.kind === "event") {
          if (!bystander) add(facts, `${role}: events`, { text: one.what, after: requests });
        } else {
          requests++;
          add(
            facts,
            `${role}: requests`,
            `${one.type} ${one.what}${one.answer === "" ? "" : ` → ${one.answer}`}`,
          );
        }
      }
    }
    return facts;
  },
};

/**
 * Without transactions that met a conflict and were made again just so: how
 * often that happens is chance.
 */
function withoutConflicts(said: Said[]): Said[] {
  const dropped = new Set<Said>();
  said.forEach((end, at) => {
    if (end.type !== "TRANSACTION_END" || end.answer !== "EAGAIN") return;
    const start = said.findLastIndex((one, before) => before < at && one.type === "TRANSACTION_START");
    const first = said.slice(start, at).filter((one) => one.kind === "request");
    const again = said
      .slice(at + 1)
      .filter((one) => one.kind === "request")
      .slice(0, first.length);
    const same = first.every((one, nth) => one.type === again[nth]?.type && one.what === again[nth]?.what);
    if (same) for (const one of [...first, end]) dropped.add(one);
  });
  return said.filter((one) => !dropped.has(one));
}

/**
 * Without transactions that end in "F": they changed nothing. Only guests have
 * them; how many depends on whether the domain lived long enough to look again
 * at a node it had just answered. What stands between the two ends came from
 * the kernel's other threads and stays.
 */
function withoutAborted(said: Said[]): Said[] {
  const dropped = new Set<Said>();
  let start: Said | null = null;
  for (const one of said) {
    if (one.type === "TRANSACTION_START") start = one;
    if (one.type === "TRANSACTION_END" && start) {
      if (one.what === "F") dropped.add(one).add(start);
      start = null;
    }
  }
  if (start) dropped.add(start);
  return said.filter((one) => !dropped.has(one));
}
