// SPDX-License-Identifier: Apache-2.0
//
// A client of any xenstored.

import { XS } from "../core/xenstore/wire.ts";
import type { Connection } from "./connection.ts";
import { asAwaited, XenstoreError } from "./errors.ts";
import { Link, type ReconnectOptions, type Registration, tokenText } from "./link.ts";
import { type Encoding, names, shown, type Text } from "./payload.ts";
import { attempt, type TransactionOptions, XenstoreTransaction } from "./transaction.ts";
import { defaultPath } from "./transport.ts";
import { type RequestOptions, XenstoreView } from "./view.ts";
import { EVENTS_MAX, EventQueue, type Watch, type WatchEvent } from "./watch.ts";

/** How to connect. */
export interface ConnectOptions extends RequestOptions {
  /**
   * A xenstored's socket, or the kernel's device. Default: `$XENSTORED_PATH`, else
   * /var/run/xenstored/socket, else /dev/xen/xenbus where only that is there.
   */
  readonly path?: string | undefined;
  /** How strings are bytes; default `utf8`. */
  readonly encoding?: Encoding | undefined;
  /**
   * Where the connection breaks, make another, and register the watches again;
   * `false` for never. What was under way is rejected, what comes waits.
   */
  readonly reconnect?: ReconnectOptions | false | undefined;
}

/** How to watch. */
export interface WatchOptions extends RequestOptions {
  /** What events carry to tell watches apart; must be new on this client. Default: one of its own. */
  readonly token?: Text | undefined;
  /** How many levels below the path it reaches; for a xenstored that has the feature (4). Default: all. */
  readonly depth?: number | undefined;
  /** How many events wait for a slow reader at most, at least 1; default 4096. See `Watch`. */
  readonly eventsMax?: number | undefined;
}

/** A connection to a xenstored. */
export class XenstoreClient extends XenstoreView {
  readonly #link: Link;
  #nextToken = 1;

  private constructor(link: Link, encoding: Encoding) {
    super(async (type, payload, argument, options) => {
      const connection = await link.current(options?.signal);
      return connection.request({ type, txId: 0, payload, argument, signal: options?.signal });
    }, encoding);
    this.#link = link;
  }

  /** Connects. Rejects with the system's error (ENOENT, EACCES, ECONNREFUSED) where nobody answers there. */
  static async connect(options: ConnectOptions = {}): Promise<XenstoreClient> {
    const { path, encoding = "utf8", reconnect = {}, signal } = options;
    signal?.throwIfAborted();
    const link = await Link.open(defaultPath(path), encoding, reconnect === false ? undefined : reconnect);
    if (signal?.aborted === true) {
      link.close();
      throw signal.reason;
    }
    return new XenstoreClient(link, encoding);
  }

  /** Ends the connection for good; requests that wait for an answer are rejected, watches end. */
  close(): void {
    this.#link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Starts a transaction; mostly `transaction` is what is wanted. */
  async begin({ signal }: RequestOptions = {}): Promise<XenstoreTransaction> {
    const connection = await this.#link.current(signal);
    try {
      return await this.#begin(connection, signal);
    } catch (error) {
      if (signal?.aborted === true || !this.#link.comesBack(connection)) throw asAwaited(error);
      // A transaction that was lost as it began has done nothing: the next connection has it.
      return this.begin({ signal });
    }
  }

  #begin(connection: Connection, signal: AbortSignal | undefined): Promise<XenstoreTransaction> {
    const payload = Uint8Array.of(0);
    const reply = connection.request({ type: XS.TRANSACTION_START, txId: 0, payload, argument: "" });
    const started = reply.then(
      (id) => new XenstoreTransaction(connection, Number.parseInt(id.toString("latin1"), 10), this.encoding),
    );
    if (signal === undefined) return started;
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        // Nobody would end it: it would stay open, and count against a guest's limit.
        started.then((transaction) => transaction.abort()).catch(() => undefined);
        reject(signal.reason as Error);
      };
      if (signal.aborted) return aborted();
      signal.addEventListener("abort", aborted, { once: true });
      started.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
    });
  }

  /**
   * Does `work` in a transaction and commits it, again from the start for as long as
   * others get in the way. Where `work` throws, the transaction is aborted. A
   * connection that breaks before the commit is no harm; one that breaks during it
   * rejects, as nobody knows.
   */
  transaction<T>(
    work: (transaction: XenstoreTransaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return attempt(() => this.begin(options), work, options);
  }

  /** Watches a path and all below it, or a special path (`@introduceDomain`, `@releaseDomain`). */
  async watch(path: Text, options: WatchOptions = {}): Promise<Watch> {
    const { depth, signal, eventsMax = EVENTS_MAX } = options;
    if (!(eventsMax >= 1)) throw new RangeError(`eventsMax is at least 1, not ${eventsMax}`);
    const token = options.token === undefined ? this.#newToken() : tokenText(options.token, this.encoding);
    if (this.#link.hasWatch(token)) throw new XenstoreError("EEXIST", "WATCH", shown(path));
    const registration = { path, token, depth, queue: new EventQueue(shown(path), eventsMax) };
    try {
      await this.#link.addWatch(registration, signal);
    } catch (error) {
      throw asAwaited(error);
    }
    return watchOf(this.#link, registration, signal);
  }

  #newToken(): string {
    let token: string;
    do token = `w${this.#nextToken++}`;
    while (this.#link.hasWatch(token));
    return token;
  }

  /**
   * Waits until a node has a value that `accepts` takes (default: until it exists);
   * the value.
   */
  async waitFor(
    path: Text,
    accepts: (value: string) => boolean = () => true,
    options: RequestOptions = {},
  ): Promise<string> {
    for await (const _ of await this.watch(path, options)) {
      try {
        const value = await this.read(path, options);
        if (accepts(value)) return value;
      } catch (error) {
        if (!(error instanceof XenstoreError && error.code === "ENOENT")) throw error;
      }
    }
    throw new XenstoreError("ENOENT", "READ", shown(path));
  }

  /** Forgets all watches and transactions of this connection. Not by the kernel's device, whose own would go, too. */
  async resetWatches(options?: RequestOptions): Promise<void> {
    if ((await this.#link.current(options?.signal)).isDevice)
      throw new XenstoreError("EPERM", "RESET_WATCHES", "of the kernel");
    await this.ask(XS.RESET_WATCHES, "RESET_WATCHES", [""], options);
    this.#link.dropWatches();
  }

  /** A domain's directory: what its relative paths are relative to. */
  async getDomainPath(domid: number, options?: RequestOptions): Promise<string> {
    return (await this.#answer(XS.GET_DOMAIN_PATH, "GET_DOMAIN_PATH", [domid], options))[0] ?? "";
  }

  async isDomainIntroduced(domid: number, options?: RequestOptions): Promise<boolean> {
    return (await this.#answer(XS.IS_DOMAIN_INTRODUCED, "IS_DOMAIN_INTRODUCED", [domid], options))[0] === "T";
  }

  /** Makes a domain known to xenstored: its ring page and its event channel. */
  async introduce(domid: number, gfn: number, port: number, options?: RequestOptions): Promise<void> {
    await this.#answer(XS.INTRODUCE, "INTRODUCE", [domid, gfn, port], options);
  }

  /** xenstored forgets a domain, and all it owns goes. */
  async release(domid: number, options?: RequestOptions): Promise<void> {
    await this.#answer(XS.RELEASE, "RELEASE", [domid], options);
  }

  /** A domain runs again: its next shutdown is to be announced. */
  async resume(domid: number, options?: RequestOptions): Promise<void> {
    await this.#answer(XS.RESUME, "RESUME", [domid], options);
  }

  /** A domain acts with the permissions of another besides its own. */
  async setTarget(domid: number, target: number, options?: RequestOptions): Promise<void> {
    await this.#answer(XS.SET_TARGET, "SET_TARGET", [domid, target], options);
  }

  /** The features xenstored has, or offers to a domain, as bits. Xen 4.23. */
  async getFeature(domid?: number, options?: RequestOptions): Promise<number> {
    const parts = domid === undefined ? [] : [domid];
    return Number((await this.#answer(XS.GET_FEATURE, "GET_FEATURE", parts, options))[0]);
  }

  /** Chooses what a domain that is not introduced yet is offered. Xen 4.23. */
  async setFeature(domid: number, features: number, options?: RequestOptions): Promise<void> {
    await this.#answer(XS.SET_FEATURE, "SET_FEATURE", [domid, features], options);
  }

  /** Names of the quotas. Xen 4.23. */
  async getQuotaNames(options?: RequestOptions): Promise<string[]> {
    const [text = ""] = await this.#answer(XS.GET_QUOTA, "GET_QUOTA", [], options);
    return text.split(/[\s,]+/).filter((name) => name !== "");
  }

  /** A quota, of one domain or as new domains get it; 0 for none. Xen 4.23. */
  async getQuota(name: string, domid?: number, options?: RequestOptions): Promise<number> {
    const parts = domid === undefined ? [name] : [domid, name];
    return Number((await this.#answer(XS.GET_QUOTA, "GET_QUOTA", parts, options))[0]);
  }

  /** Sets a quota, of one domain or as new domains get it; 0 for none. Xen 4.23. */
  async setQuota(name: string, value: number, domid?: number, options?: RequestOptions): Promise<void> {
    const parts = domid === undefined ? [name, value] : [domid, name, value];
    await this.#answer(XS.SET_QUOTA, "SET_QUOTA", parts, options);
  }

  /** CONTROL: a command with its arguments; the answer without its NUL. */
  async control(...words: readonly string[]): Promise<string> {
    const reply = (await this.ask(XS.CONTROL, "CONTROL", words)).toString(this.encoding);
    return reply.endsWith("\0") ? reply.slice(0, -1) : reply;
  }

  async #answer(
    type: number,
    request: string,
    parts: readonly (string | number)[],
    options: RequestOptions | undefined,
  ): Promise<string[]> {
    return names(await this.ask(type, request, parts.map(String), options), "latin1");
  }
}

/** The watch as its reader has it. */
function watchOf(link: Link, registration: Registration, signal: AbortSignal | undefined): Watch {
  const close = (): Promise<void> => {
    signal?.removeEventListener("abort", aborted);
    return link.removeWatch(registration);
  };
  const aborted = (): void => {
    link.removeWatch(registration, signal?.reason).catch(() => undefined);
  };
  if (signal?.aborted === true) aborted();
  else signal?.addEventListener("abort", aborted, { once: true });
  const events = async function* (): AsyncGenerator<WatchEvent, void> {
    try {
      for (;;) {
        const event = await registration.queue.next();
        if (event === undefined) return;
        yield event;
      }
    } finally {
      await close();
    }
  };
  return {
    path: shown(registration.path),
    token: registration.token,
    close,
    [Symbol.asyncDispose]: close,
    [Symbol.asyncIterator]: events,
  };
}
