// SPDX-License-Identifier: Apache-2.0
//
// xenstored on a Unix socket.

import { linkSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
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
import { AcceptedDescriptors } from "./accepted-descriptors.ts";
import { checkPlace, listenAt, takePlace } from "./socket-place.ts";
import { Turns } from "./turns.ts";

/** A xenstored that listens. */
export interface XenstoredServer {
  readonly socketPath: string;
  /** Sends what connections have to take. For changes made other than by a client of this socket. */
  flush(): void;
  /** Closes the socket and all connections. */
  close(): Promise<void>;
  /** From when it resolves nothing is processed or sent until `thaw`: what comes meanwhile is kept. */
  freeze(): Promise<void>;
  thaw(): void;
  /**
   * All clients, while frozen. What they have sent that this process has already
   * is answered first; the answers stay in the store.
   */
  frozenClients(): FrozenClient[];
  /** The rest of a live update: sends what is left of what was begun to be sent; resolves when that is done. */
  whenSent(each: (conn: number) => void): Promise<void>;
  /** The process before this one has sent all it had to send to a client. */
  sentBefore(conn: number): void;
  /** What stands for a client as long as it is connected. */
  clientOf(conn: number): object | undefined;
  /** Accepts nobody any more; the socket's path stays, and whoever else has the listening socket does. */
  stopListening(): void;
  listenAgain(): Promise<void>;
}

/** Sockets of the process before this one, as descriptors of this one. */
export interface InheritedSockets {
  readonly listener: number;
  readonly clients: readonly InheritedClient[];
}

export interface InheritedClient {
  readonly conn: number;
  readonly fd: number;
  /** What it had sent, to be processed before anything new. */
  readonly input: Uint8Array;
  /** The other process is still sending to it: nothing is until `sentBefore`. */
  readonly isWriting: boolean;
}

/** A client of a server that is frozen. */
export interface FrozenClient {
  readonly conn: number;
  readonly socket: Socket;
  /** What was sent to it is not all with the system yet: the rest is this process's to send. */
  readonly isWriting: boolean;
}

/** What `serveXenstored` needs. */
export interface ServeOptions {
  /** Where to listen; at most 107 bytes. A socket there that nobody answers on is replaced. */
  readonly socketPath: string;
  /** Makes the store, started, with the server's `queued`. */
  readonly store: (queued: (conn: number) => void) => Store;
  /** Domains on rings, served beside the socket. */
  readonly rings?: Rings | undefined;
  /** Makes what has changed last before anybody on a socket is told of it; see Journal.settle. */
  readonly settle?: ((then: () => void) => boolean) | undefined;
  /** The sockets of another xenstored, where this one takes over from it. Asked for when the store is made. */
  readonly inherited?: (() => InheritedSockets) | undefined;
  /** Told that a client has come, and how many there are now. */
  readonly accepted?: ((clients: number) => void) | undefined;
  /** Default: those of this process. */
  readonly descriptors?: AcceptedDescriptors | undefined;
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
  const { socketPath, inherited } = options;
  if (inherited === undefined) await checkPlace(socketPath);
  const clients = new Clients(options);
  const server = createServer({ allowHalfOpen: false, pauseOnConnect: true }, (socket) =>
    clients.accept(socket),
  );
  if (inherited === undefined) await takePlace(server, socketPath);
  else {
    const sockets = inherited();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen({ fd: sockets.listener }, resolve);
    });
    for (const client of sockets.clients) clients.adopt(client);
  }
  return {
    socketPath,
    flush: () => clients.flush(),
    close: () => {
      options.rings?.close();
      clients.closeAll();
      // A socket that was inherited has no path for Node to remove.
      if (inherited !== undefined) rmSync(socketPath, { force: true });
      return new Promise((resolve) => server.close(() => resolve()));
    },
    freeze: () => clients.freeze(),
    frozenClients: () => clients.frozen(),
    thaw: () => clients.thaw(),
    whenSent: (each) => clients.whenSent(each),
    sentBefore: (conn) => clients.sentBefore(conn),
    clientOf: (conn) => clients.clientOf(conn),
    stopListening: () => stopListening(server, socketPath),
    listenAgain: () => listenAt(server, socketPath),
  };
}

/** Node removes the path of a server it closes: it is put back at once. */
function stopListening(server: Server, socketPath: string): void {
  const aside = `${socketPath}.aside`;
  rmSync(aside, { force: true });
  linkSync(socketPath, aside);
  server.close();
  renameSync(aside, socketPath);
}

/** Bytes a client may have waiting for it before it is heard again. */
const UNTAKEN_MAX = 16 * 1024 * 1024;

/** Clients that have something to take, in the order in which they came to have it. */
class Ready {
  /** Those from `#first` up to `#end`; it stays as long as it once was. */
  readonly #clients: (Client | undefined)[] = [];
  #first = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#first;
  }

  add(client: Client): void {
    if (client.isReady) return;
    client.isReady = true;
    this.#clients[this.#end++] = client;
  }

  /** Takes the first out. */
  next(): Client | undefined {
    if (this.#first === this.#end) {
      this.#first = 0;
      this.#end = 0;
      return undefined;
    }
    const client = this.#clients[this.#first] as Client;
    this.#clients[this.#first++] = undefined;
    client.isReady = false;
    return client;
  }
}

/** All clients of one socket. */
class Clients {
  readonly #store: Store;
  readonly #settle: ServeOptions["settle"];
  readonly #accepted: ServeOptions["accepted"];
  readonly #buffers: SharedBuffers;
  readonly #clients = new Map<number, Client>();
  readonly #ready = new Ready();
  /** The client whose requests were answered last. */
  #heard: Client | undefined;
  readonly #turns = new Turns(
    () => this.flush(),
    () => this.#ready.size,
  );
  /** What was taken and may be sent once what it tells of lasts; null where nothing is waited for. */
  #sealed: { client: Client; bytes: Buffer }[] | null = null;
  #frozen = false;

  constructor({ store, rings, settle, accepted, descriptors = new AcceptedDescriptors() }: ServeOptions) {
    this.#buffers = new SharedBuffers(descriptors);
    this.#store = store((conn) => {
      if (conn < FIRST_SOCKET) return rings?.look(conn);
      // Nearly all that is queued answers who is heard.
      const client = conn === this.#heard?.conn ? this.#heard : this.#clients.get(conn);
      if (client !== undefined) this.#ready.add(client);
    });
    this.#settle = settle;
    this.#accepted = accepted;
    rings?.start(this.#store, () => this.flush());
  }

  /** Whether nothing may be sent now. */
  get waits(): boolean {
    return this.#sealed !== null || this.#frozen;
  }

  get isFrozen(): boolean {
    return this.#frozen;
  }

  accept(socket: Socket): void {
    this.#add(connectSocket(this.#store), socket);
    this.#accepted?.(this.#clients.size);
  }

  #add(conn: number, socket: Socket | { readonly fd: number }): Client {
    const client = new Client(conn, socket, this.#store, this.#buffers, this);
    this.#clients.set(conn, client);
    return client;
  }

  /** A client of the xenstored this one takes over from. */
  adopt({ conn, fd, input, isWriting }: InheritedClient): void {
    const client = this.#add(conn, { fd });
    if (isWriting) client.waitForOther();
    this.#ready.add(client);
    client.received(input, input.length);
  }

  /** The process before this one has sent all it had to send to a client. */
  sentBefore(conn: number): void {
    this.#clients.get(conn)?.drained();
  }

  clientOf(conn: number): object | undefined {
    return this.#clients.get(conn);
  }

  /** A client's requests are about to be answered. */
  hears(client: Client): void {
    this.#heard = client;
  }

  /** Sends what a client's requests have brought, and when those of others that are about to come. */
  flushAfter(conn: number): void {
    this.#turns.heard(conn);
  }

  flush(): void {
    if (this.waits) return;
    if (this.#settle !== undefined && !this.#settle(this.#settled)) {
      this.#sealed = this.#takeAll();
      return;
    }
    for (let client = this.#ready.next(); client !== undefined; client = this.#ready.next()) client.send();
  }

  readonly #settled = (): void => {
    const sealed = this.#sealed ?? [];
    this.#sealed = null;
    for (const { client, bytes } of sealed) client.write(bytes, bytes.length);
    this.flush();
    for (const { client } of sealed) client.sent();
  };

  /** Takes what all have to take, but does not send it yet. */
  #takeAll(): { client: Client; bytes: Buffer }[] {
    const taken: { client: Client; bytes: Buffer }[] = [];
    for (let client = this.#ready.next(); client !== undefined; client = this.#ready.next()) {
      const bytes = client.take();
      if (bytes !== undefined) taken.push({ client, bytes });
    }
    return taken;
  }

  /** A client has something to take that could not be sent. */
  later(client: Client): void {
    this.#ready.add(client);
  }

  gone(conn: number): void {
    this.#clients.delete(conn);
    this.#heard = undefined;
    disconnect(this.#store, conn);
    this.flush();
  }

  closeAll(): void {
    for (const client of this.#clients.values()) client.destroy();
  }

  async freeze(): Promise<void> {
    // What waits for the disk is in nobody's hands: it is to be sent first.
    while (this.#sealed !== null) await new Promise((resolve) => setImmediate(resolve));
    this.#frozen = true;
  }

  frozen(): FrozenClient[] {
    for (const client of [...this.#clients.values()]) client.answerKept();
    return [...this.#clients.values()].map((client) => client.frozen());
  }

  thaw(): void {
    this.#frozen = false;
    for (const client of this.#clients.values()) client.thaw();
    this.flush();
  }

  async whenSent(each: (conn: number) => void): Promise<void> {
    await Promise.all(
      [...this.#clients.values()].map(async (client) => {
        if (await client.whenSent()) each(client.conn);
      }),
    );
  }
}

/** A client on a socket: its connection, and what carries its bytes. */
class Client implements ClientEvents {
  readonly conn: number;
  /** It is among those that have something to take. */
  isReady = false;
  readonly #store: Store;
  readonly #buffers: SharedBuffers;
  readonly #clients: Clients;
  readonly #socket: ClientSocket;
  /** The socket does not take more now. */
  #full = false;
  #over = false;
  /** It broke the protocol: it is closed when all it has to take is sent. */
  #failed = false;
  /** What came while frozen. */
  #kept: Uint8Array[] = [];
  /** It was closed while frozen. */
  #closedMeanwhile = false;

  constructor(
    conn: number,
    socket: Socket | { readonly fd: number },
    store: Store,
    buffers: SharedBuffers,
    clients: Clients,
  ) {
    this.conn = conn;
    this.#store = store;
    this.#buffers = buffers;
    this.#clients = clients;
    this.#socket = new ClientSocket(socket, buffers, this);
  }

  received(bytes: Uint8Array, length: number): void {
    if (this.#over || this.#failed) return;
    if (this.#clients.isFrozen) {
      this.#kept.push(Buffer.from(bytes.subarray(0, length)));
      return;
    }
    this.#clients.hears(this);
    const state = receive(this.#store, this.conn, bytes, length);
    if (state === "open") this.#clients.flushAfter(this.conn);
    else this.#clients.flush();
    if (state === "failed") {
      this.#failed = true;
      this.sent();
    } else if (this.#full && outputLength(this.#store.cells, this.conn) > UNTAKEN_MAX) this.#socket.hold();
  }

  /** Nothing is sent to it until `drained`. */
  waitForOther(): void {
    this.#full = true;
  }

  drained(): void {
    this.#full = false;
    this.send();
    this.sent();
    if (!this.#full) this.#socket.release();
  }

  closed(): void {
    if (this.#clients.isFrozen) {
      this.#closedMeanwhile = true;
      return;
    }
    if (this.#over) return;
    this.#over = true;
    this.#clients.gone(this.conn);
  }

  /** Closes one that broke the protocol, once it was sent what it has to take. */
  sent(): void {
    if (!this.#failed || this.#over || this.#clients.waits) return;
    this.#socket.end();
    this.closed();
  }

  /** Sends what its connection has to take, where the socket takes more. */
  send(): void {
    if (this.#full || this.#over) return;
    if (this.#clients.waits) return this.#clients.later(this);
    const length = outputLength(this.#store.cells, this.conn);
    if (length === 0) return;
    const bytes = this.#buffers.toWrite(length);
    takeOutput(this.#store, this.conn, bytes, 0, length);
    this.write(bytes, length);
  }

  /** Takes what its connection has to take, where the socket takes more. */
  take(): Buffer | undefined {
    if (this.#full || this.#over) return undefined;
    const length = outputLength(this.#store.cells, this.conn);
    if (length === 0) return undefined;
    const bytes = Buffer.allocUnsafe(length);
    takeOutput(this.#store, this.conn, bytes, 0, length);
    return bytes;
  }

  write(bytes: Buffer, length: number): void {
    if (!this.#over && !this.#socket.write(bytes, length)) this.#full = true;
  }

  frozen(): FrozenClient {
    return {
      conn: this.conn,
      socket: this.#socket.give(),
      isWriting: this.#socket.isWriting,
    };
  }

  /** Answers what came while frozen. Nothing is sent, but to one that broke the protocol, and so is none any more. */
  answerKept(): void {
    this.#socket.tellUnread();
    for (const bytes of this.#kept.splice(0)) {
      if (this.#over || receive(this.#store, this.conn, bytes) === "open") continue;
      const last = this.take();
      if (last !== undefined) this.write(last, last.length);
      this.#socket.end();
      this.#over = true;
      this.#clients.gone(this.conn);
    }
  }

  thaw(): void {
    this.#socket.keep();
    for (const bytes of this.#kept.splice(0)) this.received(bytes, bytes.length);
    if (this.#closedMeanwhile) this.closed();
  }

  /** Resolves once all that was written is with the system: true where something was not. */
  async whenSent(): Promise<boolean> {
    if (!this.#socket.isWriting) return false;
    await new Promise<void>((resolve) => this.#socket.whenWritten(resolve));
    return true;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
