// SPDX-License-Identifier: Apache-2.0
//
// Taking a socket's path: from nobody, or from who is gone and has left it there.
// One process at a time looks and binds; else two that start on a path that was
// left would both find nobody, and the second would take it from the first.

import { chmodSync, closeSync, linkSync, lstatSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { connect, type Server } from "node:net";

/** Longest path of a Unix socket, in bytes (sun_path without its NUL). */
export const SOCKET_PATH_MAX = 107;

/** What a caller may get wrong about the socket, with an error code of its own. */
export class SocketError extends Error {
  readonly code: "SOCKET_PATH_TOO_LONG" | "SOCKET_IN_USE" | "SOCKET_NOT_A_SOCKET";

  constructor(code: SocketError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * How long a connection is watched for its end. A process that was killed is connected
 * to as before until the system has taken it apart, and then its connections end.
 */
const DYING_MS = 200;
/** So often somebody may die in that time: then somebody starts again and again. */
const DEATHS_MAX = 20;
/** Looking and binding takes milliseconds: who takes longer was killed in it. */
const TAKING_MS = 5_000;
const LOOK_MS = 10;

/** Throws SocketError where a socket cannot be at that path. */
export async function checkPlace(socketPath: string): Promise<void> {
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > SOCKET_PATH_MAX) {
    throw new SocketError(
      "SOCKET_PATH_TOO_LONG",
      `socket path has ${bytes} bytes, a Unix socket allows ${SOCKET_PATH_MAX}: ${socketPath}`,
    );
  }
  const there = lstatSync(socketPath, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket())
    throw new SocketError("SOCKET_NOT_A_SOCKET", `not a socket, and in the way: ${socketPath}`);
  if (await isServed(socketPath))
    throw new SocketError("SOCKET_IN_USE", `somebody serves this socket already: ${socketPath}`);
}

/** Listens at a path with mode 0600, where nobody does. Throws SocketError, or the system's error. */
export async function takePlace(server: Server, socketPath: string): Promise<void> {
  const lock = `${socketPath}.taking`;
  await lockFile(lock);
  try {
    await checkPlace(socketPath);
    await listenAt(server, socketPath);
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Listens at a path whatever is there. */
export function listenAt(server: Server, socketPath: string): Promise<void> {
  rmSync(socketPath, { force: true });
  return new Promise((resolve, reject) => {
    // Nobody else may connect between bind and chmod.
    const umask = process.umask(0o177);
    server.once("error", (error) => {
      process.umask(umask);
      reject(error);
    });
    server.listen({ path: socketPath, backlog: 511 }, () => {
      process.umask(umask);
      chmodSync(socketPath, 0o600);
      resolve();
    });
  });
}

/** Makes a file that only one process can have made; waits for who has. */
async function lockFile(lock: string): Promise<void> {
  for (;;) {
    try {
      closeSync(openSync(lock, "wx", 0o600));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (isLeft(lock)) removeLeft(lock);
    else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function isLeft(lock: string): boolean {
  const there = statSync(lock, { throwIfNoEntry: false });
  return there !== undefined && Date.now() - there.mtimeMs > TAKING_MS;
}

/** Removes a lock that was left; gives it back where it is another's by now. */
function removeLeft(lock: string): void {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
    if (!isLeft(aside)) linkSync(aside, lock);
  } catch {
    // Another process was faster.
  }
  rmSync(aside, { force: true });
}

async function isServed(socketPath: string): Promise<boolean> {
  for (let deaths = 0; deaths < DEATHS_MAX; deaths++) {
    const how = await connection(socketPath);
    if (how !== "ends") return how === "stays";
  }
  return true;
}

/** What becomes of a connection to a path: it is refused, it ends at once, or it stays. */
function connection(socketPath: string): Promise<"refused" | "ends" | "stays"> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = connect(socketPath, () => {
      connected = true;
      timer = setTimeout(() => end("stays"), DYING_MS);
    });
    let timer: NodeJS.Timeout | undefined;
    const end = (how: "refused" | "ends" | "stays"): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(how);
    };
    socket.on("error", () => undefined);
    socket.once("close", () => end(connected ? "ends" : "refused"));
    socket.resume();
  });
}
