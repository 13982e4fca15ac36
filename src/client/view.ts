// SPDX-License-Identifier: Apache-2.0
//
// Requests about nodes: the same on the store itself and in a transaction.

import { XS } from "../core/xenstore/wire.ts";
import { asAwaited, XenstoreError } from "./errors.ts";
import { bytesOf, type Encoding, names, shown, strings, type Text } from "./payload.ts";

/** What every request takes. */
export interface RequestOptions {
  /** Rejects with its reason when aborted. The request itself may still be carried out. */
  readonly signal?: AbortSignal | undefined;
}

/** Permission entries as on the wire: `n0`, `r5`, `b7`; the owner's first. */
export type Perms = readonly string[];

/** Sends one request; the reply's payload. */
export type Send = (
  type: number,
  payload: Uint8Array,
  argument: string,
  options?: RequestOptions,
) => Promise<Buffer>;

/** The store, or the store as a transaction sees it. */
export class XenstoreView {
  protected readonly encoding: Encoding;
  readonly #send: Send;

  protected constructor(send: Send, encoding: Encoding) {
    this.#send = send;
    this.encoding = encoding;
  }

  /** A request whose payload is strings, each ended by a NUL. */
  protected async ask(
    type: number,
    request: string,
    parts: readonly Text[],
    options?: RequestOptions,
  ): Promise<Buffer> {
    return await this.#sent(type, strings(parts, this.encoding, request), shown(parts[0] ?? ""), options);
  }

  async #sent(...request: Parameters<Send>): Promise<Buffer> {
    try {
      return await this.#send(...request);
    } catch (error) {
      throw asAwaited(error);
    }
  }

  /** The value of a node, as bytes. */
  readBytes(path: Text, options?: RequestOptions): Promise<Buffer> {
    return this.ask(XS.READ, "READ", [path], options);
  }

  /** The value of a node, as a string in the connection's encoding. */
  async read(path: Text, options?: RequestOptions): Promise<string> {
    return (await this.readBytes(path, options)).toString(this.encoding);
  }

  /** Whether there is a node; an error where that may not be known. */
  async exists(path: Text, options?: RequestOptions): Promise<boolean> {
    try {
      await this.readBytes(path, options);
      return true;
    } catch (error) {
      if (error instanceof XenstoreError && error.code === "ENOENT") return false;
      throw error;
    }
  }

  /** Writes a node's value; creates it, and what is missing above it. */
  async write(path: Text, value: Text, options?: RequestOptions): Promise<void> {
    const payload = [strings([path], this.encoding, "WRITE"), bytesOf(value, this.encoding)];
    await this.#sent(XS.WRITE, Buffer.concat(payload), shown(path), options);
  }

  /** Creates a node with an empty value, unless it exists. */
  async mkdir(path: Text, options?: RequestOptions): Promise<void> {
    await this.ask(XS.MKDIR, "MKDIR", [path], options);
  }

  /** Removes a node and all below it. One that is missing is fine where its parent exists. */
  async rm(path: Text, options?: RequestOptions): Promise<void> {
    await this.ask(XS.RM, "RM", [path], options);
  }

  /** Names of a node's children, in the daemon's order. Long lists are fetched in parts. */
  async directory(path: Text, options?: RequestOptions): Promise<string[]> {
    try {
      return names(await this.ask(XS.DIRECTORY, "DIRECTORY", [path], options), this.encoding);
    } catch (error) {
      if (error instanceof XenstoreError && error.code === "E2BIG")
        return this.#directoryInParts(path, options);
      throw error;
    }
  }

  /** DIRECTORY_PART until the end, from the start again whenever the list changed meanwhile. */
  async #directoryInParts(path: Text, options?: RequestOptions): Promise<string[]> {
    let generation = "";
    let list: Buffer = Buffer.alloc(0);
    for (;;) {
      const reply = await this.ask(XS.DIRECTORY_PART, "DIRECTORY_PART", [path, String(list.length)], options);
      const nul = reply.indexOf(0);
      const current = reply.toString("latin1", 0, nul);
      const part = reply.subarray(nul + 1);
      if (list.length > 0 && current !== generation) {
        list = Buffer.alloc(0);
        continue;
      }
      generation = current;
      const isLast = part.length < 2 || (part.at(-1) === 0 && part.at(-2) === 0);
      list = Buffer.concat([list, isLast ? part.subarray(0, -1) : part]);
      if (isLast) return names(list, this.encoding);
    }
  }

  /** A node's permissions, the owner's entry first. */
  async getPerms(path: Text, options?: RequestOptions): Promise<string[]> {
    return names(await this.ask(XS.GET_PERMS, "GET_PERMS", [path], options), "latin1");
  }

  /** Sets a node's permissions. */
  async setPerms(path: Text, perms: Perms, options?: RequestOptions): Promise<void> {
    await this.ask(XS.SET_PERMS, "SET_PERMS", [path, ...perms], options);
  }
}
