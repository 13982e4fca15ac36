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

/** The diagram as text, beginning with `sequenceDiagram`. Parts stand in the order in which they first speak. */
export function toMermaid(events: readonly TraceRecord[], options: MermaidOptions = {}): string {
  const { actors, matching } = options;
  const all = messagesOf(events, { reads: options.reads ?? false })
    .filter(({ from, to }) => actors === undefined || (actors.includes(from) && actors.includes(to)))
    .filter(({ text }) => matching === undefined || matching.test(text));
  const messages = all.slice(0, options.messagesMax ?? 400);
  const names = [...new Set(messages.flatMap(({ from, to }) => [from, to]))];
  const lines = messages.map(line);
  if (messages.length < all.length)
    lines.push(
      `  Note over ${participant(names[0] ?? "run")}: ${all.length - messages.length} more messages`,
    );
  return [
    "sequenceDiagram",
    ...names.map((name) => `  participant ${participant(name)} as ${escape(name)}`),
    ...lines,
    "",
  ].join("\n");
}

function line({ from, to, text, dashed }: Message): string {
  return `  ${participant(from)}${dashed ? "-->>" : "->>"}${participant(to)}: ${escape(text)}`;
}
