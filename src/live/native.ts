// SPDX-License-Identifier: Apache-2.0
//
// What is written in C: libxendev.so, by which unmodified Xen programs reach a
// host. Built with the system's compiler when it is first needed; everything
// else works without it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { Problem } from "./problem.ts";

const root = path.join(import.meta.dirname, "../..");
const source = path.join(root, "native/xendev");
const built = path.join(root, "build/native");

const FLAGS = [
  "-std=gnu11",
  "-O2",
  "-fPIC",
  "-shared",
  "-Wall",
  "-Wextra",
  "-Wshadow",
  "-Wstrict-prototypes",
];

/** The system's C compiler: $CC, cc or gcc. Throws Problem where there is none. */
function compiler(): string {
  for (const name of [process.env["CC"], "cc", "gcc"]) {
    if (name === undefined || name === "") continue;
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {
      // Not this one.
    }
  }
  throw new Problem(
    "programs on a host need libxendev, and there is no C compiler to build it",
    "apt-get install gcc libc6-dev",
  );
}

/** What the library is made of. File times say nothing: git sets them at will. */
function fingerprint(files: readonly string[]): string {
  const hash = createHash("sha256").update(FLAGS.join(" "));
  for (const file of files) hash.update(file).update(fs.readFileSync(path.join(source, file)));
  return hash.digest("hex").slice(0, 16);
}

/** The library, built if it is not there as its source is now. Throws Problem where it cannot be. */
export function libxendev(): string {
  const files = fs.readdirSync(source).toSorted();
  const library = path.join(built, `libxendev-${fingerprint(files)}.so`);
  if (fs.existsSync(library)) return library;
  const cc = compiler();
  fs.mkdirSync(built, { recursive: true });
  // Others may build it at the same moment: nobody sees half a library.
  const fresh = `${library}.${process.pid}`;
  const units = files.filter((file) => file.endsWith(".c")).map((file) => path.join(source, file));
  const map = `-Wl,--version-script=${path.join(source, "symbols.map")}`;
  try {
    execFileSync(cc, [...FLAGS, map, "-o", fresh, ...units, "-ldl", "-lpthread"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    const words = String((error as { stderr?: unknown }).stderr ?? error);
    throw new Problem(`libxendev does not compile:\n${words}`, "apt-get install gcc libc6-dev");
  }
  fs.renameSync(fresh, library);
  return library;
}
