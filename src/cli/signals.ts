// SPDX-License-Identifier: Apache-2.0
//
// How a command that runs on is asked to end.

/** Resolves with the first of SIGINT, SIGTERM and SIGHUP; a second one ends the process at once. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => resolve(signal));
  });
}
