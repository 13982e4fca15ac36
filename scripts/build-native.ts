// SPDX-License-Identifier: Apache-2.0
//
// Builds what is written in C: build/native/libxendev.so, by which unmodified
// Xen programs reach a host. Everything else works without it.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const source = join(root, "native/xendev");

/** Where the library is, once built. */
export const xendevLibrary = join(root, "build/native/libxendev.so");

/** Why the library could not be built, in words for the user. */
export interface NotBuilt {
  readonly reason: string;
}

/** The system's C compiler: $CC, cc or gcc; null where there is none. */
function compiler(): string | null {
  for (const name of [process.env["CC"], "cc", "gcc"]) {
    if (name === undefined || name === "") continue;
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {
      // not this one
    }
  }
  return null;
}

function isFresh(files: readonly string[]): boolean {
  if (!existsSync(xendevLibrary)) return false;
  const built = statSync(xendevLibrary).mtimeMs;
  return files.every((file) => statSync(join(source, file)).mtimeMs < built);
}

/** Builds the library if it is missing or older than its source. Returns its path, or why there is none. */
export function buildXendev(): string | NotBuilt {
  const files = readdirSync(source);
  if (isFresh(files)) return xendevLibrary;
  const cc = compiler();
  if (cc === null) return { reason: "no C compiler: apt-get install gcc libc6-dev" };
  mkdirSync(join(root, "build/native"), { recursive: true });
  // A program that has the old one mapped keeps it; nobody sees half a library.
  const fresh = `${xendevLibrary}.${process.pid}`;
  try {
    execFileSync(
      cc,
      [
        "-std=gnu11",
        "-O2",
        "-fPIC",
        "-shared",
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-Wstrict-prototypes",
        `-Wl,--version-script=${join(source, "symbols.map")}`,
        "-o",
        fresh,
        ...files.filter((file) => file.endsWith(".c")).map((file) => join(source, file)),
        "-ldl",
        "-lpthread",
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
  } catch (error) {
    return {
      reason: `libxendev did not compile:\n${String((error as { stderr?: unknown }).stderr ?? error)}`,
    };
  }
  renameSync(fresh, xendevLibrary);
  return xendevLibrary;
}

if (import.meta.main) {
  const built = buildXendev();
  if (typeof built === "string") console.log(built);
  else {
    console.error(built.reason);
    process.exitCode = 1;
  }
}
