// SPDX-License-Identifier: Apache-2.0
//
// xenstored on a Unix socket.

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { FIRST_SOCKET } from "../../core/xenstore/connection.ts";
import {
  connectSocket,
  disconnect,
  outputLength,
  receive,
  type Store,
  takeOutput,
} from "../../core/xenstore/store.ts";
import { type ClientEvents, ClientSocket, SharedBuffers } from "./client-socket.ts";

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
  /** Domains on rings, served beside the socket. */
  readonly rings?: Rings | undefined;
}

/** What serves the rings of domains. */
export interface Rings {
  /** `served` is to be called when something was done. */
  start(store: Store, served: () => void): void;
  /** A domain has something to take. */
  look(domid: number): void;
  close(): void;
}

/**
 * Serves a store on a Unix socket with mode 0600. Resolves once it listens.
 * Throws SocketError, or the system's error where listening fails.
 */
export async function serveXenstored(options: ServeOptions): Promise<XenstoredServer> {
  const { socketPath } = options;
  await makeRoom(socketPath);
  const clients = new Clients(options);
  const server = createServer({ allowHalfOpen: false }, (socket) => clients.accept(socket));
  await listen(server, socketPath);
  return {
    socketPath,
    flush: () => clients.flush(),
    close: () => {
      options.rings?.close();
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

/** Bytes a client may have waiting for it before it is heard again. */
const UNTAKEN_MAX = 16 * 1024 * 1024;

/** All clients of one socket. */
class Clients {
  readonly #store: Store;
  readonly #buffers = new SharedBuffers();
  readonly #clients = new Map<number, Client>();
  /** Connections that have something to take. */
  readonly #ready = new Set<number>();
  /** The client that was heard last. */
  #last = -1;
  /** All are flushed when everybody was heard. */
  #flushing = false;

  constructor({ store, rings }: ServeOptions) {
    this.#store = store((conn) => {
      if (conn >= FIRST_SOCKET) this.#ready.add(conn);
      else rings?.look(conn);
    });
    rings?.start(this.#store, () => this.flush());
  }

  accept(socket: Socket): void {
    const conn = connectSocket(this.#store);
    this.#clients.set(conn, new Client(conn, socket, this.#store, this.#buffers, this));
  }

  /**
   * Sends what a client's request has brought. One client by itself has its reply
   * at once. Of several, all that have sent something are heard first: writing to a
   * process that sleeps costs more than answering it, and one that is being
   * written to does not go to sleep.
   */
  flushAfter(conn: number): void {
    if (conn === this.#last && !this.#flushing) {
      this.flush();
      return;
    }
    this.#last = conn;
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  flush(): void {
    for (const conn of this.#ready) {
      this.#ready.delete(conn);
      this.#clients.get(conn)?.send();
    }
  }

  gone(conn: number): void {
    this.#clients.delete(conn);
    this.#ready.delete(conn);
    disconnect(this.#store, conn);
    this.flush();
  }

  closeAll(): void {
    for (const client of this.#clients.values()) client.destroy();
  }
}

/** A client on a socket: its connection, and what carries its bytes. */
class Client implements ClientEvents {
  readonly #conn: number;
  readonly #store: Store;
  readonly #buffers: SharedBuffers;
  readonly #clients: Clients;
  readonly #socket: ClientSocket;
  /** The socket does not take more now. */
  #full = false;
  #over = false;

  constructor(conn: number, socket: Socket, store: Store, buffers: SharedBuffers, clients: Clients) {
    this.#conn = conn;
    this.#store = store;
    this.#buffers = buffers;
    this.#clients = clients;
    this.#socket = new ClientSocket(socket, buffers, this);
  }

  received(bytes: Uint8Array, length: number): void {
    if (this.#over) return;
    const state = receive(this.#store, this.#conn, bytes, length);
    if (state === "open") this.#clients.flushAfter(this.#conn);
    else this.#clients.flush();
    if (state === "failed") {
      this.#socket.end();
      this.closed();
    } else if (this.#full && outputLength(this.#store.cells, this.#conn) > UNTAKEN_MAX) this.#socket.hold();
  }

  drained(): void {
    this.#full = false;
    this.send();
    if (!this.#full) this.#socket.release();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#clients.gone(this.#conn);
  }

  /** Sends what its connection has to take, where the socket takes more. */
  send(): void {
    if (this.#full || this.#over) return;
    const length = outputLength(this.#store.cells, this.#conn);
    if (length === 0) return;
    const bytes = this.#buffers.toWrite(length);
    takeOutput(this.#store, this.#conn, bytes, 0, length);
    if (!this.#socket.write(bytes, length)) this.#full = true;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
