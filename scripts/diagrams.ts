// SPDX-License-Identifier: Apache-2.0
//
// npm run diagrams [-- --check]: draws the diagrams in the documents, sequences
// from runs of the scenarios in examples/. A place for one is a pair of comments:
//
//     <!-- diagram scenario=NAME actors=xl,Xen from="TEXT" to="TEXT" -->
//     <!-- end -->
//
// `<!-- diagram house=src -->` is a place for the picture of what folders import.
//
// `actors` are the parts shown, each by the beginning of its name; `from` and `to`
// are found in the first and the last message shown. With --check nothing is
// written: exit code 1 where a document is not up to date.

import * as fs from "node:fs";
import * as path from "node:path";
import { fifo } from "../src/core/engine/scheduler.ts";
import type { TraceRecord } from "../src/core/engine/trace.ts";
import { simulate } from "../src/explore/simulate.ts";
import type { Scenario } from "../src/explore/scenario.ts";
import { messagesOf } from "../src/export/messages.ts";
import type { Message } from "../src/export/messages.ts";
import { drawMermaid, foldMessages } from "../src/export/mermaid.ts";
import { drawHouse } from "./house.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const PLACE = /<!-- diagram (.*?) -->\n([\s\S]*?)<!-- end -->/g;

/** What a comment asks for, by word. */
function wordsOf(text: string): Map<string, string> {
  const words = text.matchAll(/(\w+)=(?:"([^"]*)"|(\S+))/g);
  return new Map([...words].map(([, name, quoted, bare]) => [name as string, quoted ?? bare ?? ""]));
}

async function run(name: string): Promise<TraceRecord[]> {
  const { default: scenario } = (await import(path.join(ROOT, "examples", `${name}.ts`))) as {
    default: Scenario;
  };
  const events: TraceRecord[] = [];
  simulate(scenario, { seed: 1, scheduler: fifo, sink: (record) => void events.push(record) });
  return events;
}

/** A text without what says nothing to a reader and changes with every change of the program: UUIDs, frames. */
function withoutNumbers(text: string): string {
  return text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, "UUID")
    .replace(/^(INTRODUCE \d+) \d+/, "$1 MFN");
}

/** The messages between two that contain the given texts, both included. */
function part(messages: readonly Message[], from: string | undefined, to: string | undefined): Message[] {
  const first = from === undefined ? 0 : messages.findIndex(({ text }) => text.includes(from));
  if (first < 0) throw new Error(`no message contains ${from}`);
  if (to === undefined) return messages.slice(first);
  const last = messages.findIndex(({ text }, at) => at >= first && text.includes(to));
  if (last < 0) throw new Error(`no message after ${from} contains ${to}`);
  return messages.slice(first, last + 1);
}

async function draw(words: ReadonlyMap<string, string>): Promise<string> {
  if (words.has("house")) return `\`\`\`mermaid\n${drawHouse()}\`\`\`\n`;
  const scenario = words.get("scenario");
  if (scenario === undefined) throw new Error("a diagram needs scenario=NAME or house=src");
  const actors = words.get("actors")?.split(",");
  const shown = (name: string): boolean =>
    actors === undefined || actors.some((actor) => name.startsWith(actor));
  const all = messagesOf(await run(scenario), { reads: false });
  const messages = part(all, words.get("from"), words.get("to")).filter(
    ({ from, to }) => shown(from) && shown(to),
  );
  const drawn = foldMessages(messages).map((message) => ({ ...message, text: withoutNumbers(message.text) }));
  return `\`\`\`mermaid\n${drawMermaid(drawn)}\`\`\`\n`;
}

/** The document with every diagram drawn anew. */
export async function withDiagrams(text: string): Promise<string> {
  let drawn = "";
  let end = 0;
  for (const found of text.matchAll(PLACE)) {
    const comment = found[1] as string;
    const diagram = await draw(wordsOf(comment));
    drawn += `${text.slice(end, found.index)}<!-- diagram ${comment} -->\n\n${diagram}\n<!-- end -->`;
    end = found.index + found[0].length;
  }
  return drawn + text.slice(end);
}

/** Documents that have places for diagrams. */
export function illustrated(): string[] {
  const files = fs.readdirSync(path.join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".md"))
    .map((file) => path.join(ROOT, "docs", file))
    .filter((file) => fs.readFileSync(file, "utf8").match(PLACE) !== null);
}

if (import.meta.main) {
  const check = process.argv.includes("--check");
  for (const file of illustrated()) {
    const text = fs.readFileSync(file, "utf8");
    const drawn = await withDiagrams(text);
    const name = path.relative(ROOT, file);
    if (drawn === text) console.log(`up to date  ${name}`);
    else if (check) {
      console.log(`differs     ${name}: npm run diagrams`);
      process.exitCode = 1;
    } else {
      fs.writeFileSync(file, drawn);
      console.log(`drawn       ${name}`);
    }
  }
}
