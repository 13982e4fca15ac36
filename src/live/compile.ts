// SPDX-License-Identifier: Apache-2.0
//
// What is written in C, built with the system's compiler when it is first needed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Problem, systemWords } from "./problem.ts";

/** Where results go: into the project, or where that is not this user's to write, into the user's own cache. */
function folders(): string[] {
  const caches = [process.env["XDG_CACHE_HOME"] ?? "", path.join(os.homedir(), ".cache")];
  const cache = caches.filter((folder) => path.isAbsolute(folder)).slice(0, 1);
  return [
    path.join(import.meta.dirname, "../../build/native"),
    ...cache.map((folder) => path.join(folder, "xenolith")),
  ];
}

/** Beside these, `flags` of the unit itself. */
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"];

/** Something to build: a program, or with `-shared` a library. */
export interface Unit {
  /** What the result is called, with a fingerprint of its source before its extension. */
  readonly name: string;
  /** Absolute path of the folder its source is in. */
  readonly folder: string;
  /** Files of the folder that make it up; those that end in `.c` are compiled. */
  readonly files: readonly string[];
  readonly flags: readonly string[];
  /** Linked last. */
  readonly libraries: readonly string[];
}

/** The system's C compiler: $CC, cc or gcc. Throws Problem where there is none. */
function compiler(name: string): string {
  for (const candidate of [process.env["CC"], "cc", "gcc"]) {
    if (candidate === undefined || candidate === "") continue;
    try {
      execFileSync(candidate, ["--version"], { stdio: "ignore" });
      return candidate;
    } catch {
      // Not this one.
    }
  }
  throw new Problem(`there is no C compiler to build ${name}`, "apt-get install gcc libc6-dev");
}

/** What the unit is made of. File times say nothing: git sets them at will. */
function fingerprint({ folder, files, flags }: Unit): string {
  const hash = createHash("sha256").update([...FLAGS, ...flags].join(" "));
  for (const file of files) hash.update(file).update(fs.readFileSync(path.join(folder, file)));
  return hash.digest("hex").slice(0, 16);
}

/** The first of some folders in which this user can make files. Throws Problem where there is none. */
function writable(name: string, into: readonly string[]): string {
  let last: unknown;
  for (const folder of into) {
    try {
      fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
      fs.accessSync(folder, fs.constants.W_OK | fs.constants.X_OK);
      return folder;
    } catch (error) {
      last = error;
    }
  }
  throw new Problem(
    `there is no place to build ${name}: ${into.join(", ")}: ${systemWords(last)}`,
    "XDG_CACHE_HOME=FOLDER, one you may write to, before the same command",
  );
}

/**
 * The unit's path, built if it is not there as its source is now. Throws Problem where it cannot be.
 *
 * @param into folders it may be in; it is built in the first that takes it
 */
export function compiled(unit: Unit, into: readonly string[] = folders()): string {
  const { ext, name } = path.parse(unit.name);
  const file = `${name}-${fingerprint(unit)}${ext}`;
  const found = into.find((folder) => fs.existsSync(path.join(folder, file)));
  if (found !== undefined) return path.join(found, file);
  const cc = compiler(unit.name);
  const target = path.join(writable(unit.name, into), file);
  // Others may build it at the same moment: nobody sees half of it.
  const fresh = `${target}.${process.pid}`;
  const sources = unit.files
    .filter((source) => source.endsWith(".c"))
    .map((source) => path.join(unit.folder, source));
  try {
    execFileSync(cc, [...FLAGS, ...unit.flags, "-o", fresh, ...sources, ...unit.libraries], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    const words = String((error as { stderr?: unknown }).stderr ?? error);
    throw new Problem(`${unit.name} does not compile:\n${words}`, "apt-get install gcc libc6-dev");
  }
  fs.renameSync(fresh, target);
  return target;
}
