// SPDX-License-Identifier: Apache-2.0
//
// A client's conversation with xenstored over a Unix socket: many requests at
// once, replies found by their identifier, events by their watch's token.

import { connect, type Socket } from "node:net";
import { encode, parse, typeName, XS } from "../core/xenstore/wire.ts";

/** An ERROR reply: `code` is the wire's name (`ENOENT`, `EACCES`, `EAGAIN`, ...). */
export class XenstoreError extends Error {
  readonly code: string;
  /** The request's type as xenstored names it, and its path or first argument. */
  readonly request: string;
  readonly argument: string;

  constructor(code: string, request: string, argument: string) {
    super(`${request}${argument === "" ? "" : ` ${argument}`}: ${code}`);
    this.name = "XenstoreError";
    this.code = code;
    this.request = request;
    this.argument = argument;
  }
}

/** A watch that fired. */
export interface WatchEvent {
  readonly path: string;
  readonly token: string;
}

/** Events of one watch, to be read with `for await`; ends with `close` or the connection. */
export interface Watch extends AsyncIterable<WatchEvent> {
  /** Stops watching. */
  close(): Promise<void>;
}

interface Pending {
  readonly type: number;
  readonly argument: string;
  resolve(payload: Buffer): void;
  reject(error: Error): void;
}

/** The strings of a payload, each ended by a NUL. */
export function names(text: string): string[] {
  return text === "" ? [] : text.slice(0, text.endsWith("\0") ? -1 : undefined).split("\0");
}

/** The conversation itself: replies belong to requests by their identifier. */
export class Connection {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #watches = new Map<string, EventQueue>();
  #received: Buffer = Buffer.alloc(0);
  #nextReqId = 1;
  #nextToken = 1;
  #ended: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("xenstored closed the connection")));
  }

  static open(socketPath: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(socketPath);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Connection(socket));
      });
    });
  }

  close(): void {
    this.#end(new Error("the connection was closed"));
    this.#socket.destroy();
  }

  request(type: number, txId: number, payload: string): Promise<Buffer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const reqId = this.#nextReqId;
    this.#nextReqId = (this.#nextReqId % 0xffffffff) + 1;
    return new Promise((resolve, reject) => {
      const nul = payload.indexOf("\0");
      this.#pending.set(reqId, {
        type,
        argument: nul < 0 ? payload : payload.slice(0, nul),
        resolve,
        reject,
      });
      this.#socket.write(encode(type, reqId, txId, payload));
    });
  }

  async watch(path: string): Promise<Watch> {
    const token = `w${this.#nextToken++}`;
    const queue = new EventQueue();
    this.#watches.set(token, queue);
    try {
      await this.request(XS.WATCH, 0, `${path}\0${token}\0`);
    } catch (error) {
      this.#watches.delete(token);
      throw error;
    }
    const close = async (): Promise<void> => {
      this.#watches.delete(token);
      queue.end();
      if (this.#ended === undefined) await this.request(XS.UNWATCH, 0, `${path}\0${token}\0`);
    };
    return { close, [Symbol.asyncIterator]: () => queue.iterate() };
  }

  #take(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    for (;;) {
      const parsed = parse(bytes, at);
      if (parsed.state === "need-more") break;
      if (parsed.state === "failed") {
        this.#end(new Error("xenstored sent something that is not a message"));
        this.#socket.destroy();
        return;
      }
      at = parsed.end;
      // A copy: the buffer may be used again before the caller looks.
      this.#deliver(parsed.type, parsed.reqId, Buffer.from(bytes.subarray(parsed.start, parsed.end)));
    }
    this.#received = bytes.subarray(at);
  }

  #deliver(type: number, reqId: number, payload: Buffer): void {
    if (type === XS.WATCH_EVENT) {
      const [path = "", token = ""] = names(payload.toString("latin1"));
      this.#watches.get(token)?.push({ path, token });
      return;
    }
    const pending = this.#pending.get(reqId);
    if (pending === undefined) return;
    this.#pending.delete(reqId);
    if (type !== XS.ERROR) pending.resolve(payload);
    else {
      const code = names(payload.toString("latin1"))[0] ?? "EINVAL";
      pending.reject(new XenstoreError(code, typeName(pending.type), pending.argument));
    }
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    for (const queue of this.#watches.values()) queue.end();
    this.#watches.clear();
  }
}

/** Events that came before somebody asked for them. */
class EventQueue {
  readonly #events: WatchEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(event: WatchEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *iterate(): AsyncGenerator<WatchEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        yield event;
        continue;
      }
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
