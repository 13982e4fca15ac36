// SPDX-License-Identifier: Apache-2.0
//
// What a service manager wants to know: the file with the process's number, and
// sd_notify(3). Its socket takes datagrams, which Node does not send on Unix
// sockets; systemd's own systemd-notify does, and is there where the socket is.

import { spawn } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { Problem } from "../problem.ts";

/** Tells systemd, where it asked for it. Resolves with what went wrong, or null; nothing depends on it. */
export function notifyService(words: readonly string[]): Promise<string | null> {
  if (process.env["NOTIFY_SOCKET"] === undefined) return Promise.resolve(null);
  return new Promise((resolve) => {
    const child = spawn("systemd-notify", words, { stdio: "ignore" });
    child.on("error", (error) => resolve(`cannot tell systemd: ${error.message}`));
    child.on("exit", (code) =>
      resolve(code === 0 ? null : `cannot tell systemd: systemd-notify ended with ${code}`),
    );
  });
}

/** Whether a process of that number is a xenstored, and not this one: the number may long be somebody else's. */
function isXenstored(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
    return pid !== process.pid && words.some((word) => basename(word) === "xenstored");
  } catch {
    return false;
  }
}

/**
 * Writes the process's number, so that no reader sees half of it. Throws Problem where it is that of another
 * xenstored that runs.
 *
 * @param takesOver another's is this one's predecessor's
 */
export function writePidFile(file: string, takesOver: boolean): void {
  const pid = takesOver ? 0 : namedIn(file);
  if (isXenstored(pid))
    throw new Problem(`${file} is that of another xenstored, process ${pid}`, `ps -fp ${pid}`);
  writeFileSync(`${file}.new`, `${process.pid}\n`, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** The process a pid file names; 0 where there is none. */
function namedIn(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, "latin1"), 10) || 0;
  } catch {
    return 0;
  }
}

/** Removes the file where it still names this process. */
export function removePidFile(file: string): void {
  if (namedIn(file) === process.pid) rmSync(file, { force: true });
}
