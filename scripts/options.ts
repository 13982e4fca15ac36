// SPDX-License-Identifier: Apache-2.0
//
// What a script was asked for on its command line.

import { parseArgs } from "node:util";
import type { ParseArgsConfig } from "node:util";

type Parsed<C extends ParseArgsConfig> = ReturnType<typeof parseArgs<C>>;

/**
 * Reads the command line by `config`, as node:util's parseArgs does. `--help`
 * prints `usage` and ends the script with 0; what cannot be read is said, with
 * `usage`, and ends it with 2.
 */
export function optionsOf<const C extends ParseArgsConfig>(usage: string, config: C): Parsed<C> {
  if (process.argv.slice(2).includes("--help")) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    refuse((error as Error).message, usage);
  }
}

/** Ends the script: `problem` is what is wrong with its command line. */
export function refuse(problem: string, usage: string): never {
  console.error(`${problem}\n\n${usage}`);
  process.exit(2);
}
