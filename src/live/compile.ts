// SPDX-License-Identifier: Apache-2.0
//
// What is written in C, built with the system's compiler when it is first needed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { Problem } from "./problem.ts";

const built = path.join(import.meta.dirname, "../../build/native");

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

/** The unit's path, built if it is not there as its source is now. Throws Problem where it cannot be. */
export function compiled(unit: Unit): string {
  const { ext, name } = path.parse(unit.name);
  const target = path.join(built, `${name}-${fingerprint(unit)}${ext}`);
  if (fs.existsSync(target)) return target;
  const cc = compiler(unit.name);
  fs.mkdirSync(built, { recursive: true });
  // Others may build it at the same moment: nobody sees half of it.
  const fresh = `${target}.${process.pid}`;
  const sources = unit.files
    .filter((file) => file.endsWith(".c"))
    .map((file) => path.join(unit.folder, file));
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
