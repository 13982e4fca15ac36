// SPDX-License-Identifier: Apache-2.0
//
// npm run transcripts [-- --check]: types the commands in the documents'
// transcripts into a simulated dom0's shell and writes down what they print.
// A transcript is a block of text between a pair of comments:
//
//     <!-- transcript host=NAME xenwatch=POLICY -->
//     <!-- end -->
//
// Lines that begin with `dom0# ` are typed. Transcripts of a document with the
// same host are one session. With --check nothing is written: exit code 1 where
// a document is not up to date.

import * as fs from "node:fs";
import * as path from "node:path";
import type { XenwatchPolicy } from "../src/core/xenbus/xenbus.ts";
import { Dom0Shell } from "./dom0-shell.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const PLACE = /<!-- transcript (.*?) -->\n([\s\S]*?)<!-- end -->/g;
const PROMPT = "dom0# ";

/** Guests whose configurations anybody can type, too: they are in examples/. */
const names = ["one", "two", "three", "store", "served"];

const config = (name: string): string => `examples/${name}.cfg`;

function shell(policy: string | undefined): Dom0Shell {
  return new Dom0Shell({
    xenwatch: (policy ?? "single") as XenwatchPolicy,
    files: Object.fromEntries(
      names.map((name) => [config(name), fs.readFileSync(path.join(ROOT, config(name)), "utf8")]),
    ),
    blockDevices: Object.fromEntries([...names, "spare"].map((name) => [`/dev/vg0/${name}`, 1 << 21])),
  });
}

/** One block typed anew. */
function retype(session: Dom0Shell, block: string): string {
  const commands = block.split("\n").filter((line) => line.startsWith(PROMPT));
  return commands.map((line) => `${line}\n${session.type(line.slice(PROMPT.length)).text}`).join("");
}

/** The document with every transcript typed anew. */
export function withTranscripts(text: string): string {
  const sessions = new Map<string, Dom0Shell>();
  return text.replace(PLACE, (_all, comment: string, block: string) => {
    const words = new Map(comment.split(" ").map((word) => word.split("=") as [string, string]));
    const name = words.get("host") ?? "";
    let session = sessions.get(name);
    if (session === undefined) sessions.set(name, (session = shell(words.get("xenwatch"))));
    return `<!-- transcript ${comment} -->\n\n\`\`\`console\n${retype(session, block)}\`\`\`\n\n<!-- end -->`;
  });
}

/** Documents that have transcripts. */
export function withPlaces(): string[] {
  const docs = fs.readdirSync(path.join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  return ["README.md", ...docs.map((file) => path.join("docs", file))]
    .filter((file) => file.endsWith(".md"))
    .map((file) => path.join(ROOT, file))
    .filter((file) => fs.readFileSync(file, "utf8").match(PLACE) !== null);
}

if (import.meta.main) {
  const check = process.argv.includes("--check");
  for (const file of withPlaces()) {
    const text = fs.readFileSync(file, "utf8");
    const typed = withTranscripts(text);
    const name = path.relative(ROOT, file);
    if (typed === text) console.log(`up to date  ${name}`);
    else if (check) {
      console.log(`differs     ${name}: npm run transcripts`);
      process.exitCode = 1;
    } else {
      fs.writeFileSync(file, typed);
      console.log(`typed       ${name}`);
    }
  }
}
