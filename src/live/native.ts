// SPDX-License-Identifier: Apache-2.0
//
// libxendev.so, by which unmodified Xen programs reach a host; everything else
// works without it.

import * as fs from "node:fs";
import * as path from "node:path";
import { compiled } from "./compile.ts";

const folder = path.join(import.meta.dirname, "../../native/xendev");

/** The library, built if it is not there as its source is now. Throws Problem where it cannot be. */
export function libxendev(): string {
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
