// SPDX-License-Identifier: Apache-2.0
//
// Where bin/xenolith.js hands over.

const usage = "Usage: xenolith COMMAND [OPTION...]\n";

/**
 * Runs one command.
 *
 * @param args what stands after `xenolith`
 * @returns the exit code: 0 ok, 1 the thing asked about is bad, 2 usage
 */
export async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(usage);
    return 0;
  }
  process.stderr.write(usage);
  return 2;
}
