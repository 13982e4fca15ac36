// SPDX-License-Identifier: Apache-2.0
//
// The connection of a client over time: where it breaks another one is made, and
// the watches are registered again.

import { setTimeout as sleep } from "node:timers/promises";
import { XS } from "../core/xenstore/wire.ts";
import { Connection } from "./connection.ts";
import { XenstoreConnectionError, XenstoreError } from "./errors.ts";
import { bytesOf, type Encoding, names, shown, strings, type Text } from "./payload.ts";
import type { EventQueue } from "./watch.ts";

/** How a broken connection is made again. */
export interface ReconnectOptions {
  /** Milliseconds until the first attempt; doubled for each further one. Default 50. */
  readonly delayMs?: number;
  /** The longest pause between attempts, milliseconds. Default 2000. */
  readonly delayMsMax?: number;
  /** How long to go on trying, milliseconds. Default 30000. */
  readonly giveUpMs?: number;
}

/** A watch that is to be there on every connection. */
export interface Registration {
  readonly path: Text;
  readonly token: string;
  readonly depth: number | undefined;
  readonly queue: EventQueue;
}

const closedError = (): XenstoreConnectionError =>
  new XenstoreConnectionError("XENSTORE_CLOSED", "the client was closed");

/** A connection that comes back. */
export class Link {
  readonly #path: string;
  readonly #encoding: Encoding;
  readonly #reconnect: Required<ReconnectOptions> | undefined;
  readonly #watches = new Map<string, Registration>();
  /** Tokens of watches that wait for a connection. */
  readonly #reserved = new Set<string>();
  #connection: Promise<Connection>;
  #open: Connection | undefined;
  #end: XenstoreConnectionError | undefined;

  private constructor(path: string, encoding: Encoding, reconnect: ReconnectOptions | undefined) {
    this.#path = path;
    this.#encoding = encoding;
    this.#reconnect = reconnect && { delayMs: 50, delayMsMax: 2_000, giveUpMs: 30_000, ...reconnect };
    this.#connection = this.#connect();
  }

  /** Rejects with the system's error where nobody answers at once. */
  static async open(
    path: string,
    encoding: Encoding,
    reconnect: ReconnectOptions | undefined,
  ): Promise<Link> {
    const link = new Link(path, encoding, reconnect);
    await link.#connection;
    return link;
  }

  /** The connection there is, or will be. Rejects where there will be none, or with the signal's reason. */
  current(signal?: AbortSignal): Promise<Connection> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    if (signal === undefined) return this.#connection;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", aborted, { once: true });
      this.#connection.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
    });
  }

  close(): void {
    const connection = this.#open;
    this.#finish(closedError());
    connection?.close(closedError());
  }

  /** Whether a connection was lost and there is, or will be, another one in its place. */
  comesBack(connection: Connection): boolean {
    return this.#reconnect !== undefined && connection.end?.code === "XENSTORE_LOST";
  }

  /** Whether a watch's token is taken. */
  hasWatch(token: string): boolean {
    return this.#watches.has(token) || this.#reserved.has(token);
  }

  /** Registers a watch, now and on every connection to come. */
  async addWatch(watch: Registration, signal: AbortSignal | undefined): Promise<void> {
    this.#reserved.add(watch.token);
    let connection: Connection;
    try {
      connection = await this.current(signal);
      this.#watches.set(watch.token, watch);
    } finally {
      this.#reserved.delete(watch.token);
    }
    try {
      await this.#register(connection, watch, signal);
    } catch (error) {
      if (signal?.aborted === true) {
        this.#watches.delete(watch.token);
        // It was sent, and nobody would take its events.
        this.#unregister(connection, watch).catch(() => undefined);
        throw error;
      }
      // A connection that breaks meanwhile is no reason: the next one has it.
      if (this.comesBack(connection)) {
        await this.current(signal);
        return;
      }
      this.#watches.delete(watch.token);
      throw error;
    }
  }

  /** Ends a watch; `error` for who still reads it. */
  async removeWatch(watch: Registration, error?: unknown): Promise<void> {
    watch.queue.end(error);
    if (this.#watches.get(watch.token) !== watch) return;
    this.#watches.delete(watch.token);
    const connection = this.#open;
    if (connection === undefined) return;
    await this.#unregister(connection, watch).catch((caught: unknown) => {
      // With the connection, or by RESET_WATCHES, it went by itself.
      if (caught instanceof XenstoreConnectionError) return;
      if (!(caught instanceof XenstoreError && caught.code === "ENOENT")) throw caught;
    });
  }

  /** Forgets all watches, which are gone. */
  dropWatches(): void {
    for (const { queue } of this.#watches.values()) queue.end();
    this.#watches.clear();
  }

  #register(connection: Connection, watch: Registration, signal?: AbortSignal): Promise<Buffer> {
    const depth = watch.depth === undefined ? [] : [String(watch.depth)];
    const payload = strings([watch.path, watch.token, ...depth], this.#encoding, "WATCH");
    return connection.request({ type: XS.WATCH, txId: 0, payload, argument: shown(watch.path), signal });
  }

  #unregister(connection: Connection, { path, token }: Registration): Promise<Buffer> {
    const payload = strings([path, token], this.#encoding, "UNWATCH");
    return connection.request({ type: XS.UNWATCH, txId: 0, payload, argument: shown(path) });
  }

  async #connect(): Promise<Connection> {
    const connection = await Connection.open(this.#path, {
      fired: (payload) => this.#fired(payload),
      ended: (error) => this.#lost(error),
    });
    if (this.#end !== undefined) {
      connection.close(this.#end);
      throw this.#end;
    }
    this.#open = connection;
    return connection;
  }

  #fired(payload: Buffer): void {
    const [path = "", token = ""] = names(payload, this.#encoding);
    this.#watches.get(token)?.queue.push({ path, token });
  }

  #lost(error: XenstoreConnectionError): void {
    this.#open = undefined;
    if (this.#end !== undefined) return;
    if (this.#reconnect === undefined || error.code !== "XENSTORE_LOST") {
      this.#finish(error);
      return;
    }
    this.#connection = this.#again(this.#reconnect);
    // Nobody may be waiting for it: that it fails is then told by what is asked next.
    this.#connection.catch(() => undefined);
  }

  async #again({ delayMs, delayMsMax, giveUpMs }: Required<ReconnectOptions>): Promise<Connection> {
    const deadline = performance.now() + giveUpMs;
    for (let pause = delayMs; ; pause = Math.min(pause * 2, delayMsMax)) {
      await sleep(pause);
      if (this.#end !== undefined) throw this.#end;
      try {
        const connection = await this.#connect();
        await this.#registerAll(connection);
        return connection;
      } catch (error) {
        if (this.#end !== undefined) throw this.#end;
        if (performance.now() < deadline) continue;
        const seconds = Math.round(giveUpMs / 1000);
        const text = `nobody has answered at ${this.#path} for ${seconds} s`;
        this.#finish(new XenstoreConnectionError("XENSTORE_GONE", text, error));
        throw this.#end ?? error;
      }
    }
  }

  /** A watch that is refused now ends with the reason; the others go on. */
  async #registerAll(connection: Connection): Promise<void> {
    const refused = async (watch: Registration, error: unknown): Promise<void> => {
      if (!(error instanceof XenstoreError)) throw error;
      this.#watches.delete(watch.token);
      watch.queue.end(error);
    };
    const watches = [...this.#watches.values()];
    await Promise.all(
      watches.map((watch) =>
        this.#register(connection, watch).catch((error: unknown) => refused(watch, error)),
      ),
    );
  }

  #finish(error: XenstoreConnectionError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#open = undefined;
    const isWanted = error.code === "XENSTORE_CLOSED";
    for (const { queue } of this.#watches.values()) queue.end(isWanted ? undefined : error);
    this.#watches.clear();
  }
}

/** A token as bytes may be anything but a NUL; ours are text. */
export function tokenText(token: Text, encoding: Encoding): string {
  return typeof token === "string" ? token : Buffer.from(bytesOf(token, encoding)).toString(encoding);
}
