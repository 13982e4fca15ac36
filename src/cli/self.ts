// SPDX-License-Identifier: Apache-2.0
//
// Which Xenolith this is, where its own files are, and how the user calls it.

import { readFileSync, realpathSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { shellWord } from "../live/directory.ts";

/** A file that comes with the program, by its path from the project's root. */
export function ownFile(file: string): string {
  return fileURLToPath(new URL(`../../${file}`, import.meta.url));
}

/** The program's version. */
export function version(): string {
  return (JSON.parse(readFileSync(ownFile("package.json"), "utf8")) as { version: string }).version;
}

function real(file: string): string | null {
  try {
    return realpathSync(file);
  } catch {
    return null;
  }
}

/** What to type to run this program from here: `xenolith` where that is in PATH, else its file. */
export function programWord(): string {
  const self = ownFile("bin/xenolith.js");
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  if (folders.some((folder) => real(path.join(folder, "xenolith")) === self)) return "xenolith";
  const relative = path.relative(process.cwd(), self);
  const isBelow = process.cwd() !== "/" && !relative.startsWith("..");
  return shellWord(isBelow ? `./${relative}` : self);
}

/** Text whose `xenolith` at the beginnings of commands becomes what works from here. */
export function callable(text: string): string {
  const word = programWord();
  return text.replaceAll(/(^|[\s(=])xenolith (?=[a-z-])/g, (_, before: string) => `${before}${word} `);
}
