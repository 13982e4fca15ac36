// SPDX-License-Identifier: Apache-2.0
//
// A client of any xenstored, over its Unix socket. Requests may be made without
// waiting for each other; paths, tokens and text values are bytes as latin1 strings.

import { readLatin1, XS } from "../core/xenstore/wire.ts";
import { Connection, names, type Watch, XenstoreError } from "./xenstore-connection.ts";

export { type Watch, XenstoreError } from "./xenstore-connection.ts";

/** Where real xenstored listens, unless XENSTORED_PATH says otherwise. */
export const DEFAULT_SOCKET_PATH = "/var/run/xenstored/socket";

/** Permission entries as on the wire: `n0`, `r5`, `b7`; the owner's first. */
export type Perms = readonly string[];

/** What a request may be part of: the store itself, or a transaction. */
export class XenstoreView {
  protected readonly connection: Connection;
  protected readonly txId: number;

  constructor(connection: Connection, txId: number) {
    this.connection = connection;
    this.txId = txId;
  }

  protected ask(type: number, payload: string): Promise<Buffer> {
    return this.connection.request(type, this.txId, payload);
  }

  /** The value of a node, as bytes. */
  readBytes(path: string): Promise<Buffer> {
    return this.ask(XS.READ, `${path}\0`);
  }

  /** The value of a node, as a latin1 string. */
  async read(path: string): Promise<string> {
    return (await this.readBytes(path)).toString("latin1");
  }

  /** Whether there is a node; an error where that may not be known. */
  async exists(path: string): Promise<boolean> {
    try {
      await this.readBytes(path);
      return true;
    } catch (error) {
      if (error instanceof XenstoreError && error.code === "ENOENT") return false;
      throw error;
    }
  }

  /** Writes a node's value, a latin1 string or bytes; creates it, and what is missing above it. */
  async write(path: string, value: string | Uint8Array): Promise<void> {
    const text = typeof value === "string" ? value : readLatin1(value, 0, value.length);
    await this.ask(XS.WRITE, `${path}\0${text}`);
  }

  /** Creates a node with an empty value, unless it exists. */
  async mkdir(path: string): Promise<void> {
    await this.ask(XS.MKDIR, `${path}\0`);
  }

  /** Removes a node and all below it. */
  async rm(path: string): Promise<void> {
    await this.ask(XS.RM, `${path}\0`);
  }

  /** Names of a node's children, in order of creation. Long lists are fetched in parts. */
  async directory(path: string): Promise<string[]> {
    try {
      return names((await this.ask(XS.DIRECTORY, `${path}\0`)).toString("latin1"));
    } catch (error) {
      if (error instanceof XenstoreError && error.code === "E2BIG") return this.#directoryInParts(path);
      throw error;
    }
  }

  /** DIRECTORY_PART until the end, from the start again whenever the list changed meanwhile. */
  async #directoryInParts(path: string): Promise<string[]> {
    let generation = "";
    let list = "";
    for (;;) {
      const reply = (await this.ask(XS.DIRECTORY_PART, `${path}\0${list.length}\0`)).toString("latin1");
      const nul = reply.indexOf("\0");
      if (list !== "" && reply.slice(0, nul) !== generation) {
        list = "";
        continue;
      }
      generation = reply.slice(0, nul);
      const part = reply.slice(nul + 1);
      if (part === "\0" || part === "") return names(list);
      if (part.endsWith("\0\0")) return names(list + part.slice(0, -1));
      list += part;
    }
  }

  /** A node's permissions, the owner's entry first. */
  async getPerms(path: string): Promise<string[]> {
    return names((await this.ask(XS.GET_PERMS, `${path}\0`)).toString("latin1"));
  }

  /** Sets a node's permissions. */
  async setPerms(path: string, perms: Perms): Promise<void> {
    await this.ask(XS.SET_PERMS, [path, ...perms, ""].join("\0"));
  }
}

/** An open transaction: all of it happens at its commit, or nothing. */
export class XenstoreTransaction extends XenstoreView {
  /** Fails with EAGAIN where others have changed what it observed. */
  async commit(): Promise<void> {
    await this.ask(XS.TRANSACTION_END, "T\0");
  }

  async abort(): Promise<void> {
    await this.ask(XS.TRANSACTION_END, "F\0");
  }
}

/** A connection to a xenstored. */
export class XenstoreClient extends XenstoreView {
  private constructor(connection: Connection) {
    super(connection, 0);
  }

  /** Connects, by default where XENSTORED_PATH says; rejects with the system's error where nobody listens. */
  static async connect(socketPath?: string): Promise<XenstoreClient> {
    const path = socketPath ?? process.env["XENSTORED_PATH"] ?? DEFAULT_SOCKET_PATH;
    return new XenstoreClient(await Connection.open(path));
  }

  /** Ends the connection; requests that wait for an answer are rejected. */
  close(): void {
    this.connection.close();
  }

  /** Starts a transaction; mostly `transaction` is what is wanted. */
  async begin(): Promise<XenstoreTransaction> {
    const reply = await this.ask(XS.TRANSACTION_START, "\0");
    return new XenstoreTransaction(this.connection, Number.parseInt(reply.toString("latin1"), 10));
  }

  /**
   * Does `work` in a transaction and commits it, again from the start for as
   * long as others get in the way, at most `attemptsMax` times. Where `work`
   * throws, the transaction is aborted.
   */
  async transaction<T>(
    work: (transaction: XenstoreTransaction) => Promise<T>,
    attemptsMax = 1000,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const transaction = await this.begin();
      let result: T;
      try {
        result = await work(transaction);
      } catch (error) {
        await transaction.abort().catch(() => undefined);
        throw error;
      }
      try {
        await transaction.commit();
        return result;
      } catch (error) {
        const again = error instanceof XenstoreError && error.code === "EAGAIN" && attempt < attemptsMax;
        if (!again) throw error;
      }
    }
  }

  /** Watches a path and all below it, or a special path; the first event comes at once. */
  async watch(path: string): Promise<Watch> {
    return this.connection.watch(path);
  }

  /** Forgets all watches and transactions of this connection. */
  async resetWatches(): Promise<void> {
    await this.ask(XS.RESET_WATCHES, "\0");
  }

  async getDomainPath(domid: number): Promise<string> {
    return names((await this.ask(XS.GET_DOMAIN_PATH, `${domid}\0`)).toString("latin1"))[0] ?? "";
  }

  async isDomainIntroduced(domid: number): Promise<boolean> {
    return (await this.ask(XS.IS_DOMAIN_INTRODUCED, `${domid}\0`)).toString("latin1").startsWith("T");
  }

  async introduce(domid: number, gfn: number, port: number): Promise<void> {
    await this.ask(XS.INTRODUCE, `${domid}\0${gfn}\0${port}\0`);
  }

  async release(domid: number): Promise<void> {
    await this.ask(XS.RELEASE, `${domid}\0`);
  }

  async resume(domid: number): Promise<void> {
    await this.ask(XS.RESUME, `${domid}\0`);
  }

  async setTarget(domid: number, target: number): Promise<void> {
    await this.ask(XS.SET_TARGET, `${domid}\0${target}\0`);
  }

  /** CONTROL: a command with its arguments; the answer without its NUL. */
  async control(...words: readonly string[]): Promise<string> {
    const reply = (await this.ask(XS.CONTROL, `${words.join("\0")}\0`)).toString("latin1");
    return reply.endsWith("\0") ? reply.slice(0, -1) : reply;
  }
}
