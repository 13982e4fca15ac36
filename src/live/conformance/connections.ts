// SPDX-License-Identifier: Apache-2.0
//
// Connections of the conformance suite: to a socket, or on the ring of a domain
// whose page is a file (xenstored/domain-files.ts).

import { connect, type Socket } from "node:net";
import { isFailure } from "../../core/engine/errno.ts";
import { clientRead, clientWrite, ringError, type RingPage } from "../../core/xenstore/ring.ts";
import { encode, HEADER_SIZE, readLatin1, readU32, writeU32, XS } from "../../core/xenstore/wire.ts";
import { type EventFile, FIRST_DOMAIN_PORT, RingFile } from "../xenstored/domain-files.ts";

/** A message from xenstored. */
export interface Message {
  readonly type: number;
  readonly reqId: number;
  /** Payload as a latin1 string. */
  readonly body: string;
}

/** How often a ring is looked at, milliseconds. */
const LOOK_MS = 1;
/** So often a full ring is looked at without a pause. */
const FULL_LOOKS = 50;

/** One connection: bytes out, whole messages in. */
export abstract class Connection {
  closed = false;
  readonly #messages: Message[] = [];
  #input: Uint8Array = new Uint8Array(0);
  #wake: (() => void) | undefined;
  #reqId = 0;

  abstract write(bytes: Uint8Array): void;
  abstract close(): void;

  /** Sends a request; its identifier. */
  request(type: number, txId: number, body: string): number {
    const reqId = ++this.#reqId;
    this.write(encode(type, reqId, txId, body));
    return reqId;
  }

  /** Sends requests in one go, so that nobody waits between them; their identifiers. */
  requests(txId: number, asked: readonly (readonly [type: number, body: string])[]): number[] {
    const ids = asked.map(() => ++this.#reqId);
    const messages = asked.map(([type, body], at) => encode(type, ids[at] as number, txId, body));
    this.write(Buffer.concat(messages));
    return ids;
  }

  /** The next message, or undefined where none comes in time or the connection ends. */
  async next(timeoutMs: number): Promise<Message | undefined> {
    if (this.#messages.length === 0 && !this.closed) await this.#wait(timeoutMs);
    return this.#messages.shift();
  }

  #wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Bytes have come. */
  protected received(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#input.length + chunk.length);
    bytes.set(this.#input);
    bytes.set(chunk, this.#input.length);
    let at = 0;
    while (bytes.length >= at + HEADER_SIZE) {
      // oxenstored sends more than a message may have where the client is a socket.
      const end = at + HEADER_SIZE + readU32(bytes, at + 12);
      if (bytes.length < end) break;
      const body = readLatin1(bytes, at + HEADER_SIZE, end);
      this.#messages.push({ type: readU32(bytes, at), reqId: readU32(bytes, at + 4), body });
      at = end;
    }
    this.#input = bytes.slice(at);
    if (this.#messages.length > 0) this.#wake?.();
  }

  /** It is over. */
  protected ended(): void {
    this.closed = true;
    this.#wake?.();
  }
}

/** A client of the socket. */
export class SocketConnection extends Connection {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.received(chunk));
    socket.on("close", () => this.ended());
    // A daemon that cuts a connection may do so with a reset: close follows.
    socket.on("error", () => undefined);
  }

  /** Rejects where nobody answers. */
  static open(path: string): Promise<SocketConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("connect", () => resolve(new SocketConnection(socket)));
      socket.once("error", reject);
    });
  }

  write(bytes: Uint8Array): void {
    if (!this.closed) this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A domain on its ring. */
export class RingConnection extends Connection {
  readonly #page: RingFile;
  readonly #events: EventFile;
  readonly #domid: number;
  readonly #timer: NodeJS.Timeout;
  #unsent: Uint8Array = new Uint8Array(0);
  #flooding = false;
  /** Whether it takes what is in its ring. */
  reads = true;

  /** @param events the FIFO to xenstored */
  constructor(dir: string, domid: number, events: EventFile) {
    super();
    this.#page = new RingFile(dir, domid);
    this.#events = events;
    this.#domid = domid;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  get page(): RingPage {
    return this.#page;
  }

  get error(): number {
    return ringError(this.#page);
  }

  kick(): void {
    this.#events.raise(FIRST_DOMAIN_PORT + this.#domid);
  }

  write(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#unsent.length + bytes.length);
    all.set(this.#unsent);
    all.set(bytes, this.#unsent.length);
    this.#unsent = all;
    this.#push();
    this.kick();
  }

  #push(): void {
    const count = clientWrite(this.#page, this.#unsent);
    if (!isFailure(count)) this.#unsent = this.#unsent.slice(count);
  }

  #look(): void {
    if (this.#unsent.length > 0) {
      this.#push();
      this.kick();
    }
    if (!this.reads || this.#flooding) return;
    const bytes = clientRead(this.#page);
    if (isFailure(bytes) || bytes.length === 0) return;
    this.kick();
    this.received(bytes);
  }

  /**
   * Writes a node, another number each time, as fast as it is taken, until `calm`; nobody looks at the
   * replies. Where nothing is taken for a while, the xenstored waits for a processor, which it gets sooner
   * where this does not spin.
   */
  flood(path: string): void {
    let count = 0;
    let idle = 0;
    this.#flooding = true;
    const more = (): void => {
      if (!this.#flooding) return;
      const before = count;
      clientRead(this.#page);
      this.#push();
      while (this.#unsent.length === 0) {
        this.#unsent = encode(XS.WRITE, 0, 0, `${path}\0${count++}`);
        this.#push();
      }
      this.kick();
      idle = count === before ? idle + 1 : 0;
      if (idle < FULL_LOOKS) setImmediate(more);
      else setTimeout(more, LOOK_MS);
    };
    more();
  }

  /** The flood is over, and all of its replies are there, or the time is up. */
  async calm(timeoutMs: number): Promise<void> {
    this.#flooding = false;
    const last = this.request(XS.GET_DOMAIN_PATH, 0, "0\0");
    for (;;) {
      const message = await this.next(timeoutMs);
      if (message === undefined || message.reqId === last) return;
    }
  }

  /** Sets the producer's index of the requests ahead of what was written. */
  setProducer(value: number): void {
    const bytes = new Uint8Array(4);
    writeU32(bytes, 0, value);
    this.#page.write(2052, bytes);
    this.kick();
  }

  close(): void {
    this.#flooding = false;
    clearInterval(this.#timer);
    this.#page.close();
    this.ended();
  }
}
