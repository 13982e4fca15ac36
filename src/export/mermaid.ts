// SPDX-License-Identifier: Apache-2.0
//
// A run as a Mermaid sequence diagram.

import type { TraceRecord } from "../core/engine/trace.ts";
import { messagesOf } from "./messages.ts";
import type { Message } from "./messages.ts";

/** What of a run is drawn. */
export interface MermaidOptions {
  /** Requests that only read the store too. Default: no. */
  reads?: boolean;
  /** Only messages from or to one of these parts. Default: all. */
  actors?: readonly string[];
  /** Only messages whose text this finds. Default: all. */
  matching?: RegExp;
  /** Never more messages than this; a note says how many were left out. Default: 400. */
  messagesMax?: number;
}

/** Mermaid takes `;` and `#` as its own. */
function escape(text: string): string {
  return text.replaceAll("#", "#35;").replaceAll(";", "#59;").replaceAll("\n", " ");
}

function participant(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, "_");
}

/** The diagram of a run as text, beginning with `sequenceDiagram`. */
export function toMermaid(events: readonly TraceRecord[], options: MermaidOptions = {}): string {
  const { actors, matching } = options;
  const all = messagesOf(events, { reads: options.reads ?? false })
    .filter(({ from, to }) => actors === undefined || (actors.includes(from) && actors.includes(to)))
    .filter(({ text }) => matching === undefined || matching.test(text));
  const shown = all.slice(0, options.messagesMax ?? 400);
  const more = all.length - shown.length;
  const note = more === 0 ? "" : `  Note over ${participant(shown[0]?.from ?? "")}: ${more} more messages\n`;
  return drawMermaid(shown) + note;
}

/** A diagram of messages. Parts stand in the order in which they first speak or are spoken to. */
export function drawMermaid(messages: readonly Message[]): string {
  const names = [...new Set(messages.flatMap(({ from, to }) => [from, to]))];
  const participants = names.map((name) => `  participant ${participant(name)} as ${escape(name)}`);
  return ["sequenceDiagram", ...participants, ...messages.map(line), ""].join("\n");
}

const CHANGES = new Set(["WRITE", "SET_PERMS", "RM", "MKDIR"]);

/** The request's name where a message is one that changes the store. */
function changeOf({ text, dashed }: Message): string | null {
  const op = text.split(" ")[0] as string;
  return !dashed && CHANGES.has(op) ? op : null;
}

/**
 * The messages with runs of changes to the store, and runs of events, by one
 * part made one message each: what a person wants to see of a transaction.
 */
export function foldMessages(messages: readonly Message[]): Message[] {
  const folded: Message[] = [];
  for (let at = 0; at < messages.length;) {
    const first = messages[at] as Message;
    let end = at + 1;
    while (end < messages.length && sameRun(first, messages[end] as Message)) end++;
    const run = messages.slice(at, end);
    folded.push(run.length < 3 ? first : { ...first, text: summary(run) });
    if (run.length === 2) folded.push(run[1] as Message);
    at = end;
  }
  return folded;
}

function foldKind(message: Message): "changes" | "events" | null {
  if (changeOf(message) !== null) return "changes";
  return message.dashed && message.text.startsWith("event ") ? "events" : null;
}

function sameRun(first: Message, other: Message): boolean {
  const kind = foldKind(first);
  return kind !== null && first.from === other.from && first.to === other.to && foldKind(other) === kind;
}

function summary(run: readonly Message[]): string {
  const first = run[0] as Message;
  if (changeOf(first) === null)
    return `${run.length} events, the first for ${first.text.split(" ")[1] ?? ""}`;
  const ops = [...new Set(run.map(changeOf))].join(", ");
  return `${run.length} requests (${ops}), the first for ${first.text.split(" ")[1] ?? ""}`;
}

function line({ from, to, text, dashed }: Message): string {
  return `  ${participant(from)}${dashed ? "-->>" : "->>"}${participant(to)}: ${escape(text)}`;
}
