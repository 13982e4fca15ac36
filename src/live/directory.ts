// SPDX-License-Identifier: Apache-2.0
//
// A live host's state directory: what is in it, who holds it.

import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";

/** The longest path a Unix socket can have on Linux, in bytes (sun_path, less its NUL). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The files of a host, by purpose. */
export interface Directory {
  readonly dir: string;
  /** Where commands talk to the host. */
  readonly control: string;
  /** xenstored's socket: give it to clients as XENSTORED_PATH. */
  readonly xenstored: string;
  /** The process that holds the directory, as a number. */
  readonly pidFile: string;
  /** What a detached host says. */
  readonly log: string;
}

/** Something about the directory that the user must hear, with what to do next. */
export class DirectoryError extends Error {}

/** The directory that is meant: an option, `$XENOLITH_DIR`, or one private to the user. */
export function directory(option: string | undefined): Directory {
  const chosen = option ?? process.env["XENOLITH_DIR"] ?? privateDirectory();
  const dir = path.resolve(chosen);
  return {
    dir,
    control: path.join(dir, "control.sock"),
    xenstored: path.join(dir, "xenstored", "socket"),
    pidFile: path.join(dir, "pid"),
    log: path.join(dir, "host.log"),
  };
}

function privateDirectory(): string {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  if (runtime !== undefined && runtime !== "") return path.join(runtime, "xenolith");
  return path.join(os.tmpdir(), `xenolith-${process.getuid?.() ?? os.userInfo().username}`);
}

/** Makes the directory and takes it for this process. Throws DirectoryError where that cannot be. */
export async function takeDirectory(where: Directory): Promise<void> {
  for (const socket of [where.control, where.xenstored]) {
    if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
      throw new DirectoryError(
        `the socket's path is longer than the ${SOCKET_PATH_BYTES_MAX} bytes a Unix socket can have: ${socket}\n` +
          "Try a shorter one: --dir /tmp/xen",
      );
    }
  }
  if (await answers(where.control)) {
    const pid = readPid(where);
    throw new DirectoryError(
      `a host is running in ${where.dir}${pid === null ? "" : ` (pid ${pid})`}\n` +
        `Try: xenolith status --dir ${where.dir}, or another --dir`,
    );
  }
  try {
    fs.mkdirSync(where.dir, { recursive: true, mode: 0o700 });
    assertPrivate(where.dir);
    fs.mkdirSync(path.dirname(where.xenstored), { recursive: true, mode: 0o700 });
    for (const stale of [where.control, where.xenstored, where.pidFile]) fs.rmSync(stale, { force: true });
    fs.writeFileSync(where.pidFile, `${process.pid}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (error instanceof DirectoryError) throw error;
    throw new DirectoryError(`cannot use ${where.dir}: ${(error as Error).message}\nTry another: --dir DIR`);
  }
}

/** In a directory that others share, one that belongs to somebody else is a trap. */
function assertPrivate(dir: string): void {
  const { uid } = fs.statSync(dir);
  const mine = process.getuid?.();
  if (mine !== undefined && uid !== mine) {
    throw new DirectoryError(`${dir} belongs to user ${uid}, not to you\nTry another: --dir DIR`);
  }
}

/** Leaves nothing of the host's behind but its log. */
export function releaseDirectory(where: Directory): void {
  for (const file of [where.control, where.xenstored, where.pidFile]) fs.rmSync(file, { force: true });
}

/** The process that holds the directory; null where none says so. */
export function readPid(where: Directory): number | null {
  try {
    return Number.parseInt(fs.readFileSync(where.pidFile, "utf8"), 10);
  } catch {
    return null;
  }
}

/** Whether somebody answers at a socket. */
export function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(socket);
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}
