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

/** A message's first word: a request's name. */
function opOf({ text, dashed }: Message): string | null {
  return dashed ? null : (text.split(" ")[0] as string);
}

function changes(message: Message): boolean {
  return CHANGES.has(opOf(message) ?? "");
}

/**
 * The messages as a person wants to see them: a transaction is one message, at
 * the moment of its commit; runs of changes to the store, and runs of events, by
 * one part are one message each.
 */
export function foldMessages(messages: readonly Message[]): Message[] {
  return foldRuns(foldTransactions(messages));
}

/** Changes inside a transaction move to its end; one that changed nothing, or was given up, goes. */
function foldTransactions(messages: readonly Message[]): Message[] {
  const open = new Map<string, Message[]>();
  return messages.flatMap((message): Message[] => {
    const op = opOf(message);
    const inside = open.get(message.from);
    if (op === "TRANSACTION_START") {
      open.set(message.from, []);
      return [];
    }
    if (inside === undefined) return [message];
    if (op === "TRANSACTION_END") {
      open.delete(message.from);
      if (inside.length === 0 || message.text.includes("END F")) return [];
      const [, , ...failed] = message.text.split(" ");
      return [{ ...message, text: ["transaction:", summary(inside), ...failed].join(" ") }];
    }
    if (!changes(message)) return [message];
    inside.push(message);
    return [];
  });
}

function foldRuns(messages: readonly Message[]): Message[] {
  const folded: Message[] = [];
  for (let at = 0; at < messages.length;) {
    const first = messages[at] as Message;
    let end = at + 1;
    while (end < messages.length && isOneRun(first, messages[end] as Message)) end++;
    folded.push(end === at + 1 ? first : { ...first, text: summary(messages.slice(at, end)) });
    at = end;
  }
  return folded;
}

/** Whether two messages are both changes, or both events, from one part to another. */
function isOneRun(first: Message, other: Message): boolean {
  if (first.from !== other.from || first.to !== other.to) return false;
  return (changes(first) && changes(other)) || (isEvent(first) && isEvent(other));
}

function isEvent({ dashed, text }: Message): boolean {
  return dashed && text.startsWith("event ");
}

/** A run of changes or events in a few words. */
function summary(run: readonly Message[]): string {
  const [first] = run as readonly [Message, ...Message[]];
  if (run.length === 1) return first.text;
  const where = first.text.split(" ")[1] ?? "";
  if (!changes(first)) return `${run.length} events, the first for ${where}`;
  const ops = [...new Set(run.map(opOf))].join(", ");
  return `${run.length} requests (${ops}), the first for ${where}`;
}

function line({ from, to, text, dashed }: Message): string {
  if (from === to) return `  Note over ${participant(from)}: ${escape(text)}`;
  return `  ${participant(from)}${dashed ? "-->>" : "->>"}${participant(to)}: ${escape(text)}`;
}
