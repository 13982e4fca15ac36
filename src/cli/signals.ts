// SPDX-License-Identifier: Apache-2.0
//
// How a command that runs on is asked to end.

/**
 * Resolves with the first of SIGINT, SIGTERM and SIGHUP; a second one ends the process at once.
 *
 * @param hungUp what SIGHUP means instead, for a daemon: there is no terminal to be hung up
 */
export function untilSignal(hungUp?: () => void): Promise<NodeJS.Signals> {
  // Node would open its debugger to everybody on the machine.
  process.on("SIGUSR1", () => {});
  const isDaemon = hungUp !== undefined && !process.stderr.isTTY;
  if (isDaemon) process.on("SIGHUP", hungUp);
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(signal));
    if (!isDaemon) process.once("SIGHUP", () => resolve("SIGHUP"));
  });
}
