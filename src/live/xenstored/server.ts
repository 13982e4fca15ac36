// SPDX-License-Identifier: Apache-2.0
//
// xenstored on a Unix socket.

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import {
  connectSocket,
  disconnect,
  outputLength,
  receive,
  type Store,
  takeOutput,
} from "../../core/xenstore/store.ts";

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

/** A xenstored that listens. */
export interface XenstoredServer {
  readonly socketPath: string;
  /** Sends what connections have to take. For changes made other than by a client of this socket. */
  flush(): void;
  /** Closes the socket and all connections. */
  close(): Promise<void>;
}

/** What `serveXenstored` needs. */
export interface ServeOptions {
  /** Where to listen; at most 107 bytes. A socket there that nobody answers on is replaced. */
  readonly socketPath: string;
  /** Makes the store, started, with the server's `queued`. */
  readonly store: (queued: (conn: number) => void) => Store;
}

/**
 * Serves a store on a Unix socket with mode 0600. Resolves once it listens.
 * Throws SocketError, or the system's error where listening fails.
 */
export async function serveXenstored(options: ServeOptions): Promise<XenstoredServer> {
  const { socketPath } = options;
  await makeRoom(socketPath);
  const clients = new Clients(options.store);
  const server = createServer({ allowHalfOpen: false }, (socket) => clients.accept(socket));
  await listen(server, socketPath);
  return {
    socketPath,
    flush: () => clients.flush(),
    close: () => {
      clients.closeAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, socketPath: string): Promise<void> {
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

/** Removes a socket nobody answers on; refuses where somebody does, or where something else is. */
async function makeRoom(socketPath: string): Promise<void> {
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
  if (await answers(socketPath)) {
    throw new SocketError("SOCKET_IN_USE", `somebody serves this socket already: ${socketPath}`);
  }
  unlinkSync(socketPath);
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** All clients of one socket. */
class Clients {
  readonly #store: Store;
  readonly #sockets = new Map<number, Socket>();
  /** Connections that have something to take. */
  readonly #ready = new Set<number>();
  /** Connections whose socket does not take more now. */
  readonly #full = new Set<number>();

  constructor(store: ServeOptions["store"]) {
    this.#store = store((conn) => this.#ready.add(conn));
  }

  accept(socket: Socket): void {
    const conn = connectSocket(this.#store);
    this.#sockets.set(conn, socket);
    socket.on("data", (chunk: Buffer) => this.#received(conn, socket, chunk));
    socket.on("drain", () => {
      this.#full.delete(conn);
      this.#ready.add(conn);
      this.flush();
    });
    // The error is followed by close, and a client that vanishes is nothing special.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#gone(conn, socket));
  }

  #received(conn: number, socket: Socket, chunk: Buffer): void {
    if (this.#sockets.get(conn) !== socket) return;
    const state = receive(this.#store, conn, chunk);
    this.flush();
    if (state === "failed") {
      socket.end();
      this.#gone(conn, socket);
    }
  }

  #gone(conn: number, socket: Socket): void {
    if (this.#sockets.get(conn) !== socket) return;
    this.#sockets.delete(conn);
    this.#ready.delete(conn);
    this.#full.delete(conn);
    disconnect(this.#store, conn);
    this.flush();
  }

  flush(): void {
    for (const conn of this.#ready) {
      this.#ready.delete(conn);
      const socket = this.#sockets.get(conn);
      if (socket === undefined || this.#full.has(conn)) continue;
      this.#send(conn, socket);
    }
  }

  #send(conn: number, socket: Socket): void {
    const length = outputLength(this.#store.cells, conn);
    if (length === 0) return;
    const bytes = Buffer.allocUnsafe(length);
    takeOutput(this.#store, conn, bytes, 0, length);
    if (!socket.write(bytes)) this.#full.add(conn);
  }

  closeAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }
}
