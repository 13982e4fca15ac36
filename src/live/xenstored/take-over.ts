// SPDX-License-Identifier: Apache-2.0
//
// A live update, from the side of the process that begins: the state from the
// file the one before left, its sockets by their descriptors, and, where that one
// is a Xenolith, a talk about what is still on its way.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { disconnect, prepareStore, type Store, type StoreOptions } from "../../core/xenstore/store.ts";
import { isStreamProblem, type WatchLayout } from "../../core/xenstore/stream.ts";
import { StreamReader } from "../../core/xenstore/stream-decode.ts";
import { type Loaded, loadStream } from "../../core/xenstore/stream-load.ts";
import type { InheritedSockets, XenstoredServer } from "./server.ts";

/** What the process that ends tells. */
export type FromPredecessor =
  | { readonly go: true; readonly writing: readonly number[] }
  /** It has sent all it had to send on this descriptor; -1 for all of them. */
  | { readonly sent: number };

/** What the process that begins tells. */
export type ToPredecessor = { readonly ready: true } | { readonly failed: string };

/** Where xenstoreds leave their state: 4.17 in its root directory, later ones in their run directory. */
function stateFiles(): string[] {
  const { XENSTORED_ROOTDIR, XENSTORED_RUNDIR } = process.env;
  const folders = [XENSTORED_ROOTDIR, XENSTORED_RUNDIR, "/var/lib/xenstored", "/run/xenstored"];
  return folders.filter((folder) => folder !== undefined).map((folder) => join(folder, "state_dump"));
}

/** The state of the process before this one, taken over. */
export class TakenOver {
  readonly #loaded: Loaded;
  readonly #store: Store;
  readonly #file: string;
  #writing: ReadonlySet<number> = new Set();
  readonly #early: FromPredecessor[] = [];
  #server: XenstoredServer | null = null;
  #left: () => void = () => undefined;
  /** Resolves once the process before this one is not needed any more. */
  readonly predecessorLeft: Promise<void>;

  private constructor(store: Store, loaded: Loaded, file: string) {
    this.#store = store;
    this.#loaded = loaded;
    this.#file = file;
    this.predecessorLeft =
      process.send === undefined ? Promise.resolve() : new Promise((resolve) => (this.#left = resolve));
  }

  /**
   * Loads the state into a store that is nothing yet.
   *
   * @throws Error with what is wrong with it
   */
  static load(store: Store, options: StoreOptions, layout: WatchLayout): TakenOver {
    const files = stateFiles();
    const file = files.find((name) => existsSync(name));
    if (file === undefined) throw new Error(`no state to take over: there is none of ${files.join(", ")}`);
    const reader = StreamReader.open(readFileSync(file), layout);
    if (isStreamProblem(reader)) throw new Error(`${file}, byte ${reader.offset}: ${reader.problem}`);
    prepareStore(store, options);
    const loaded = loadStream(store, reader);
    if (isStreamProblem(loaded)) throw new Error(`${file}, byte ${loaded.offset}: ${loaded.problem}`);
    return new TakenOver(store, loaded, file);
  }

  /** What of the state had no effect. */
  get ignored(): ReadonlySet<number> {
    return this.#loaded.ignored;
  }

  /** Event channels of introduced domains. */
  get ports(): ReadonlyMap<number, number> {
    return this.#loaded.ports;
  }

  /** Tells the process before that all is here; resolves once it has let go. */
  async untilLetGo(): Promise<void> {
    if (process.send === undefined) return;
    await new Promise<void>((resolve, reject) => {
      process.once("disconnect", () => reject(new Error("the process before this one is gone too early")));
      process.on("message", (message: FromPredecessor) => {
        if ("go" in message) {
          this.#writing = new Set(message.writing);
          resolve();
        } else if (this.#server === null) this.#early.push(message);
        else this.#take(this.#server, message);
      });
      process.send?.({ ready: true } satisfies ToPredecessor);
    });
    process.removeAllListeners("disconnect").once("disconnect", () => this.#left());
  }

  /** The sockets, for a server. Those that were closed already are no clients any more. */
  sockets(): InheritedSockets {
    const { global, sockets, input } = this.#loaded;
    const clients = sockets.filter(({ fd }) => fd >= 0);
    for (const { conn, fd } of sockets) if (fd < 0) disconnect(this.#store, conn);
    return {
      listener: global?.socketFd ?? -1,
      clients: clients.map(({ conn, fd }) => ({
        conn,
        fd,
        input: input.get(conn) ?? new Uint8Array(0),
        isWriting: this.#writing.has(fd),
      })),
    };
  }

  /** Serves from now on: what the process before this one says further is for this server. */
  serve(server: XenstoredServer): void {
    this.#server = server;
    rmSync(this.#file, { force: true });
    for (const message of this.#early.splice(0)) this.#take(server, message);
  }

  #take(server: XenstoredServer, message: FromPredecessor): void {
    if (!("sent" in message)) return;
    if (message.sent < 0 && process.connected) process.disconnect();
    const conn = this.#loaded.sockets.find(({ fd }) => fd === message.sent)?.conn;
    if (conn !== undefined) server.sentBefore(conn);
  }
}
