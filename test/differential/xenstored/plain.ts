// SPDX-License-Identifier: Apache-2.0
//
// What all xenstoreds must agree on, also oxenstored, which has its own mind about
// errors, orders and transactions: what sensible clients see of nodes,
// permissions and watches. oxenstored's own ways are taken out of both answers
// first (`ways` says which, and why), and sequences are of plain requests only.

import { typeName, XS } from "../../../src/core/xenstore/wire.ts";
import type { Answers, Subject } from "./driver.ts";
import { type ScriptLine, scriptOf } from "./script.ts";
import {
  ask,
  DOMAINS,
  type RequestStep,
  type Sequence,
  showBody,
  SOCKETS,
  type Step,
  whoName,
} from "./steps.ts";

/** One of oxenstored's ways, and what is done about it. */
interface Way {
  readonly what: string;
  /** File and function of tools/ocaml/xenstored in Xen 4.17, or how it was seen. */
  readonly source: string;
  /** Whether it explains this, where nothing can be taken out for it; nothing is compared beyond. */
  readonly explains?: (step: string, expected: string, actual: string) => boolean;
}

/** All of them. */
const ways: readonly Way[] = [
  { what: "lists directories in an order of its own: names are sorted", source: "store.ml Node (SymbolMap)" },
  {
    what: "has nodes for the special watches in the root: left out",
    source: "store.ml Path.specials; xenstored.ml",
  },
  {
    what: "a node that a domain creates is its parent's owner's: domains create in what is theirs only (keepsOwners)",
    source:
      "store.ml path_write and path_mkdir (the parent's permissions); seen: SET_PERMS by the creator is refused",
  },
  {
    what: "tells watches below a removed node, whether there was a node or not: it may tell more than we",
    source: "connections.ml fire_watches (the trie of watches is walked); seen",
    explains: (step, expected, actual) => / RM /.test(step) && isPartOf(actual, expected),
  },
  {
    what: "removing what is not there is fine for everybody, where its parent is there: not compared where we refuse",
    source: "process.ml do_rm (Define.Doesnt_exist before permissions)",
    explains: (step, expected, actual) =>
      / RM /.test(step) && /: RM "OK/.test(expected) && actual.endsWith(": refused"),
  },
  {
    what: "tells ENOENT and EACCES apart by other rules, and has other names for refusals: a refusal is a refusal",
    source: "process.ml process_packet (its table of exceptions); store.ml Path.get_node",
  },
  {
    what: "its reply comes before the events of the request: they are compared as a set beside the reply",
    source: "seen: bench/xenstored, order of events",
  },
  {
    what: "fires a commit's events one an operation, and those of a removed tree top down: as a set, too",
    source: "transaction.ml commit; connections.ml fire_watches (recursive)",
  },
  {
    what: "numbers transactions over all connections, and answers WATCH and UNWATCH without theirs: not compared",
    source: "connection.ml start_transaction; process.ml do_watch",
  },
  {
    what: "decides about conflicts by replaying operations: where one commits and the other does not, it ends there",
    source: "process.ml transaction_replay; src/core/xenstore/transaction.ts",
    explains: (step) => / TRANSACTION_END .* in t\d$/.test(step),
  },
  {
    what: "shows a transaction what was there at its start: answers within one are compared by C's measure only",
    source: "transaction.ml make (the store's copy)",
    explains: (step) => / in t\d$/.test(step),
  },
];

const plainTypes: ReadonlySet<unknown> = new Set([
  "READ",
  "DIRECTORY",
  "GET_PERMS",
  "WRITE",
  "MKDIR",
  "RM",
  "SET_PERMS",
  "WATCH",
  "UNWATCH",
  "TRANSACTION_START",
  "TRANSACTION_END",
]);
const PATH = String.raw`(?:/[rs]|/local/domain/[12]|[abc])(?:/[abc])*`;
const bodies: Readonly<Record<string, RegExp>> = {
  WRITE: new RegExp(`^${PATH}\\0[^]{0,30}$`),
  SET_PERMS: new RegExp(`^${PATH}\\0(?:[nrwb][0-3]\\0){1,3}$`),
  WATCH: new RegExp(`^${PATH}\\0[tu]\\0$`),
  UNWATCH: new RegExp(`^${PATH}\\0[tu]\\0$`),
  TRANSACTION_START: /^\0$/,
  TRANSACTION_END: /^[TF]\0$/,
};
const onePath = new RegExp(`^${PATH}\\0$`);

function isPlain(step: Step): boolean {
  if (step.do !== "request" || !plainTypes.has(step.type)) return false;
  if (step.tx !== undefined && "id" in step.tx) return false;
  return (bodies[step.type] ?? onePath).test(step.body) && keepsOwners(step);
}

/** Whether creator and parent's owner are the same: a domain in its own directory, which stays its own. */
function keepsOwners({ who, type, body }: RequestStep): boolean {
  const [path = "", owner = ""] = body.split("\0");
  const home = /^\/local\/domain\/(\d)/.exec(path)?.[1];
  if (type === "SET_PERMS") return home === undefined || owner.slice(1) === home;
  if (who < SOCKETS || (type !== "WRITE" && type !== "MKDIR")) return true;
  return !path.startsWith("/") || home === String(DOMAINS[who - SOCKETS]);
}

/** What is looked at in the end. */
const looks: readonly Step[] = ["/r", "/r/a", "/r/b", "/r/c", "/s", "/s/a", "/local/domain/1"].flatMap(
  (path) => (["READ", "GET_PERMS", "DIRECTORY"] as const).map((type) => ask(0, type, `${path}|`)),
);

/** The plain part of a sequence, and a look at what has become of it. */
export function plainOf({ steps }: Sequence): Sequence {
  return { steps: [...steps.filter(isPlain), ...looks] };
}

/** What a step brought each connection: its reply, and the events as a set. */
function essence(script: readonly ScriptLine[], answers: readonly Answers[]): string[] {
  const steps: Map<number, { reply: string[]; events: Set<string> }>[] = [];
  for (const [at, { step }] of script.entries()) {
    const bySlot = (steps[step] ??= new Map());
    for (const { slot, type, body } of answers[at]?.messages ?? []) {
      if (!bySlot.has(slot)) bySlot.set(slot, { reply: [], events: new Set() });
      const { reply, events } = bySlot.get(slot) as { reply: string[]; events: Set<string> };
      if (type === XS.WATCH_EVENT) events.add(showBody(body));
      else reply.push(essential(type, body));
    }
  }
  return steps.map((bySlot) =>
    [...bySlot]
      .toSorted(([a], [b]) => a - b)
      .map(
        ([slot, { reply, events }]) => `${whoName(slot)}: ${[...reply, ...[...events].toSorted()].join(" ")}`,
      )
      .join("\n"),
  );
}

function essential(type: number, body: string): string {
  if (type === XS.ERROR) return "refused";
  if (type === XS.TRANSACTION_START) return "TRANSACTION_START";
  if (type === XS.DIRECTORY) {
    const names = body.split("\0").filter((name) => name !== "" && !name.startsWith("@"));
    return `DIRECTORY ${names.toSorted().join(" ")}`;
  }
  return `${typeName(type)} ${showBody(body)}`;
}

/** Whether every word of one answer is in the other. */
function isPartOf(part: string, whole: string): boolean {
  const words = new Set(whole.split(/[ \n]/));
  return part.split(/[ \n]/).every((word) => words.has(word));
}

/** The first step they disagree about for no reason of `ways`, in words, or undefined. */
export async function comparePlain(
  sequence: Sequence,
  real: Subject,
  ours: Subject,
): Promise<string | undefined> {
  const script = scriptOf(plainOf(sequence));
  const theirs = essence(script, await real.play(script));
  const own = essence(script, await ours.play(script));
  for (const [step, expected] of theirs.entries()) {
    const text = script.find((line) => line.step === step)?.text ?? "";
    if (expected === own[step]) continue;
    if (ways.some(({ explains }) => explains?.(text, expected, own[step] ?? "") === true)) return undefined;
    const before = script.filter((line) => line.step <= step).map((line) => line.text);
    const steps = before.filter((line, i) => line !== before[i - 1]);
    return [...steps, `${real.name}:`, expected, "ours:", own[step]].join("\n");
  }
  return undefined;
}
