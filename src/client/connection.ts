// SPDX-License-Identifier: Apache-2.0
//
// One conversation with a xenstored: many requests at once, replies found by
// their identifier, events handed on. It ends once; `client.ts` makes another.

import { HEADER_SIZE, parse, PAYLOAD_MAX, typeName, writeU32, XS } from "../core/xenstore/wire.ts";
import { XenstoreConnectionError, XenstoreError } from "./errors.ts";
import { openTransport, type Transport } from "./transport.ts";

/** A request, as bytes. */
export interface Ask {
  readonly type: number;
  readonly txId: number;
  readonly payload: Uint8Array;
  /** What its errors name: mostly the path. */
  readonly argument: string;
  /** The answer is not waited for any more. */
  readonly signal?: AbortSignal | undefined;
}

interface Pending {
  readonly ask: Ask;
  resolve(payload: Buffer): void;
  reject(error: unknown): void;
}

/** Who hears of a connection. */
export interface ConnectionListener {
  /** A watch fired: the event's payload. */
  fired(payload: Buffer): void;
  /** It is over; every request that waited has been rejected with the same. */
  ended(error: XenstoreConnectionError): void;
}

/** A conversation. */
export class Connection {
  readonly #listener: ConnectionListener;
  readonly #pending = new Map<number, Pending>();
  #transport: Transport | undefined;
  #received: Buffer = Buffer.alloc(0);
  #nextReqId = 1;
  #end: XenstoreConnectionError | undefined;

  private constructor(listener: ConnectionListener) {
    this.#listener = listener;
  }

  /** Opens a socket or device. Rejects with the system's error. */
  static async open(path: string, listener: ConnectionListener): Promise<Connection> {
    const made = new Connection(listener);
    made.#transport = await openTransport(path, {
      received: (bytes) => made.#take(bytes),
      ended: (error) =>
        made.#finish(
          new XenstoreConnectionError(
            "XENSTORE_LOST",
            "the connection to xenstored was lost; whether the request was carried out is not known",
            error,
          ),
        ),
    });
    return made;
  }

  /** Why it is over, or undefined. */
  get end(): XenstoreConnectionError | undefined {
    return this.#end;
  }

  /** Whether it goes by the kernel's device. */
  get isDevice(): boolean {
    return this.#transport?.isDevice === true;
  }

  close(error: XenstoreConnectionError): void {
    if (this.#end !== undefined) return;
    this.#transport?.close();
    this.#finish(error);
  }

  /** Sends a request; its reply's payload. Rejects with an error of errors.ts, or the signal's reason. */
  request(ask: Ask): Promise<Buffer> {
    const { type, txId, payload, argument, signal } = ask;
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    // The kernel's buffer holds the header as well (xenbus_file_write).
    const most = this.isDevice ? PAYLOAD_MAX - HEADER_SIZE : PAYLOAD_MAX;
    if (payload.length > most) return Promise.reject(new XenstoreError("E2BIG", typeName(type), argument));
    const reqId = this.#nextReqId;
    this.#nextReqId = (this.#nextReqId % 0xffff_ffff) + 1;
    const message = Buffer.allocUnsafe(HEADER_SIZE + payload.length);
    for (const [index, field] of [type, reqId, txId, payload.length].entries())
      writeU32(message, index * 4, field);
    message.set(payload, HEADER_SIZE);
    return new Promise((resolve, reject) => {
      // The request stays known after an abort: its reply is still to come, and to be left alone.
      const aborted = (): void => reject(signal?.reason as Error);
      const settled = (): void => signal?.removeEventListener("abort", aborted);
      signal?.addEventListener("abort", aborted, { once: true });
      this.#pending.set(reqId, {
        ask,
        resolve: (reply) => {
          settled();
          resolve(reply);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#transport?.send(message, (error) => this.#refused(reqId, error));
    });
  }

  /** The kernel took a message and answered with an error number instead of a reply. */
  #refused(reqId: number, error: NodeJS.ErrnoException): void {
    const pending = this.#pending.get(reqId);
    this.#pending.delete(reqId);
    if (pending === undefined) return;
    pending.reject(new XenstoreError(error.code ?? "EIO", typeName(pending.ask.type), pending.ask.argument));
  }

  #take(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    while (this.#end === undefined) {
      const parsed = parse(bytes, at);
      if (parsed.state === "need-more") break;
      if (parsed.state === "failed") {
        this.close(new XenstoreConnectionError("XENSTORE_PROTOCOL", "xenstored sent what is no message"));
        return;
      }
      at = parsed.end;
      // A copy: the bytes may be used again before the caller looks.
      this.#deliver(parsed.type, parsed.reqId, Buffer.from(bytes.subarray(parsed.start, parsed.end)));
    }
    this.#received = bytes.subarray(at);
  }

  #deliver(type: number, reqId: number, payload: Buffer): void {
    if (type === XS.WATCH_EVENT) {
      this.#listener.fired(payload);
      return;
    }
    const id = this.#pending.has(reqId) ? reqId : this.#answeredByKernel(type);
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if (type !== XS.ERROR) {
      pending.resolve(payload);
      return;
    }
    const code = payload.toString("latin1").replace(/\0[^]*$/, "") || "EINVAL";
    pending.reject(new XenstoreError(code, typeName(pending.ask.type), pending.ask.argument));
  }

  /** Linux confirms watches itself, without the request's identifier (xenbus_write_watch): the oldest one is meant. */
  #answeredByKernel(type: number): number {
    if (!this.isDevice || (type !== XS.WATCH && type !== XS.UNWATCH)) return -1;
    for (const [reqId, { ask }] of this.#pending) if (ask.type === type) return reqId;
    return -1;
  }

  #finish(error: XenstoreConnectionError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#listener.ended(error);
  }
}
