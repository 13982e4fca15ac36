// SPDX-License-Identifier: Apache-2.0
//
// libxendev.so, by which unmodified Xen programs reach a host, and the program
// that makes terminals; everything else works without them.

import * as fs from "node:fs";
import * as path from "node:path";
import { compiled } from "./compile.ts";
import { Problem } from "./problem.ts";

const native = path.join(import.meta.dirname, "../../native");

/** The library, built if it is not there as its source is now. Throws Problem where it cannot be. */
export function libxendev(): string {
  const folder = path.join(native, "xendev");
  return compiled({
    name: "libxendev.so",
    folder,
    files: fs.readdirSync(folder).toSorted(),
    flags: [
      "-fPIC",
      "-shared",
      "-Wshadow",
      "-Wstrict-prototypes",
      `-Wl,--version-script=${path.join(folder, "symbols.map")}`,
    ],
    libraries: ["-ldl", "-lpthread"],
  });
}

/** The program that makes terminals; null where it cannot be built: names of terminals are simulated then. */
export function terminalsProgram(): string | null {
  const folder = path.join(native, "terminals");
  try {
    return compiled({
      name: "xenolith-terminals",
      folder,
      files: fs.readdirSync(folder).toSorted(),
      flags: ["-Wshadow", "-Wstrict-prototypes"],
      libraries: [],
    });
  } catch (error) {
    if (error instanceof Problem) return null;
    throw error;
  }
}
