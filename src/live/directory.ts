// SPDX-License-Identifier: Apache-2.0
//
// A live host's state directory: what is in it, who holds it.

import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
// Not from bridge.ts: every command loads this file, and few need a hypervisor.
import { bridgeSocket } from "./bridge/protocol.ts";
import { Problem, systemWords } from "./problem.ts";

/** The longest path a Unix socket can have on Linux, in bytes (sun_path, less its NUL). */
const SOCKET_PATH_BYTES_MAX = 107;

/** The files of a host, by purpose. */
export interface Directory {
  readonly dir: string;
  /** Where commands talk to the host. */
  readonly control: string;
  /** xenstored's socket: give it to clients as XENSTORED_PATH. */
  readonly xenstored: string;
  /** Folder of the device bridge, by which unmodified Xen programs come in. */
  readonly bridge: string;
  /** The process that holds the directory, as a number. */
  readonly pidFile: string;
  /** What a detached host says. */
  readonly log: string;
}

/** The directory that is meant: an option, `$XENOLITH_DIR` where it says anything, or one private to the user. */
export function directory(option: string | undefined): Directory {
  const environment = process.env["XENOLITH_DIR"] ?? "";
  const dir = path.resolve(option ?? (environment === "" ? privateDirectory() : environment));
  return {
    dir,
    control: path.join(dir, "control.sock"),
    xenstored: path.join(dir, "xenstored", "socket"),
    bridge: path.join(dir, "bridge"),
    pidFile: path.join(dir, "pid"),
    log: path.join(dir, "host.log"),
  };
}

function privateDirectory(): string {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  if (runtime !== undefined && runtime !== "") return path.join(runtime, "xenolith");
  return path.join(os.tmpdir(), `xenolith-${process.getuid?.() ?? os.userInfo().username}`);
}

/** Makes the directory and takes it for this process. Throws Problem where that cannot be. */
export async function takeDirectory(where: Directory): Promise<void> {
  for (const socket of [where.control, where.xenstored, bridgeSocket(where.bridge)]) checkSocketPath(socket);
  const dir = shellWord(where.dir);
  if (await answers(where.control)) {
    const pid = readPid(where);
    const who = pid === null ? "" : ` (pid ${pid})`;
    throw new Problem(`a host is running in ${where.dir}${who}`, `xenolith status --dir ${dir}`);
  }
  try {
    makeFolder(where.dir);
    if (!fs.statSync(where.dir).isDirectory())
      throw new Problem(`${where.dir} is no directory`, "xenolith up --dir /tmp/xen");
    assertPrivate(where.dir);
    fs.accessSync(where.dir, fs.constants.W_OK | fs.constants.X_OK);
    claim(where);
    makeFolder(path.dirname(where.xenstored));
    for (const stale of [where.control, where.xenstored]) removeStaleSocket(stale);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`cannot use ${where.dir}: ${systemWords(error)}`, "xenolith up --dir /tmp/xen");
  }
}

/** What a host left that was killed is in the way of nobody; anything but a socket is not ours. */
function removeStaleSocket(file: string): void {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat?.isSocket() === false)
    throw new Problem(`not a socket, and in the way: ${file}`, "xenolith up --dir /tmp/xen");
  fs.rmSync(file, { force: true });
}

/**
 * Makes a folder that is private to this user, and those above it. Not with
 * mkdir's `recursive`: below /proc, where nothing can be made, that never ends.
 */
export function makeFolder(folder: string): void {
  if (fs.existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process that starts at the same moment has made it.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Throws Problem where a path is longer than a Unix socket's may be. */
export function checkSocketPath(socket: string): void {
  const bytes = Buffer.byteLength(socket);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  const limit = `${bytes} bytes, a Unix socket allows ${SOCKET_PATH_BYTES_MAX}`;
  throw new Problem(`the socket's path is too long (${limit}): ${socket}`, "xenolith up --dir /tmp/xen");
}

/**
 * Puts the pid file in its place, which only one process can: by a link, so that
 * nobody ever finds it without its content. That of a process that is gone counts
 * for nothing.
 */
function claim(where: Directory): void {
  const mine = `${where.pidFile}.${process.pid}`;
  fs.writeFileSync(mine, `${process.pid}\n`, { mode: 0o600 });
  try {
    while (!linked(mine, where.pidFile)) {
      const pid = readPid(where);
      if (pid !== null && isHost(pid)) {
        throw new Problem(`a host is starting or stopping in ${where.dir} (pid ${pid})`, `kill ${pid}`);
      }
      removeStale(where, pid);
    }
  } finally {
    fs.rmSync(mine, { force: true });
  }
}

/** Gives a file a second name; false where that name is taken. */
function linked(file: string, name: string): boolean {
  try {
    fs.linkSync(file, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  }
}

/** Takes a dead process's pid file away; gives it back where another starting host was faster. */
function removeStale(where: Directory, pid: number | null): void {
  const stale = `${where.pidFile}.${process.pid}.stale`;
  try {
    fs.renameSync(where.pidFile, stale);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readPid({ ...where, pidFile: stale }) !== pid) linked(stale, where.pidFile);
  fs.rmSync(stale, { force: true });
}

/** Whether a process is one of ours: its number may long be somebody else's. */
function isHost(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("xenolith");
  } catch {
    return false;
  }
}

/** In a directory that others share, one that belongs to somebody else is a trap. */
function assertPrivate(dir: string): void {
  const { uid } = fs.statSync(dir);
  const mine = process.getuid?.();
  if (mine !== undefined && uid !== mine) {
    throw new Problem(`${dir} belongs to user ${uid}, not to you`, "xenolith up --dir /tmp/xen");
  }
}

/** Leaves nothing of the host's behind but what it was asked to write: its log, a crash's trace. */
export function releaseDirectory(where: Directory): void {
  for (const file of [where.control, where.xenstored, where.pidFile]) fs.rmSync(file, { force: true });
  for (const folder of [path.dirname(where.xenstored), where.dir]) {
    try {
      fs.rmdirSync(folder);
    } catch {
      return; // somebody else's files are in it
    }
  }
}

/** The process that holds the directory; null where none says so. */
export function readPid(where: Directory): number | null {
  try {
    const pid = Number.parseInt(fs.readFileSync(where.pidFile, "utf8"), 10);
    return Number.isNaN(pid) ? null : pid;
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

/** A path as one word of a shell's command line. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
