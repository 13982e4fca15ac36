// SPDX-License-Identifier: Apache-2.0
//
// What a service manager wants to know: the file with the process's number, and
// sd_notify(3). Its socket takes datagrams, which Node does not send on Unix
// sockets; systemd's own systemd-notify does, and is there where the socket is.

import { spawn } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

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

/** Writes the process's number, so that no reader sees half of it. */
export function writePidFile(file: string): void {
  writeFileSync(`${file}.new`, `${process.pid}\n`, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** Removes the file where it still names this process. */
export function removePidFile(file: string): void {
  let named: string;
  try {
    named = readFileSync(file, "latin1").trim();
  } catch {
    return;
  }
  if (named === String(process.pid)) rmSync(file, { force: true });
}
