// SPDX-License-Identifier: Apache-2.0
//
// One client's socket, for many small messages: all clients are read into one
// buffer and written from another, and who sends much waits for the others.

import { writeSync } from "node:fs";
import { type OnReadOpts, Socket } from "node:net";
import { DescriptorSocket, SocketOnAccepted, Stays } from "./accepted-socket.ts";
import type { AcceptedDescriptors } from "./accepted-descriptors.ts";

/** Bytes read from a client at a time. One that has sent so many has its next turn after all others. */
const TURN_BYTES = 16_384;
const WRITE_BYTES = 65_536;
const BEGINNING_MAX = 256;

/** What all clients of a server share: buffers that are free between two of them. */
export class SharedBuffers {
  readonly read = Buffer.allocUnsafeSlow(TURN_BYTES);
  readonly descriptors: AcceptedDescriptors;
  readonly stays = new Stays();
  #write = Buffer.allocUnsafeSlow(WRITE_BYTES);
  /** Beginnings of it, by length: a short answer needs no new object. */
  #beginnings: (Buffer | undefined)[] = [];

  constructor(descriptors: AcceptedDescriptors) {
    this.descriptors = descriptors;
  }

  /** The first `length` bytes of what came from `toWrite`. */
  beginning(buffer: Buffer, length: number): Buffer {
    if (buffer !== this.#write || length > BEGINNING_MAX) return buffer.subarray(0, length);
    return (this.#beginnings[length] ??= buffer.subarray(0, length));
  }

  /** A buffer of at least so many bytes, until `written`. */
  toWrite(length: number): Buffer {
    return length <= WRITE_BYTES ? this.#write : Buffer.allocUnsafeSlow(length);
  }

  /** What came from `toWrite` was written; `kept` where the system has not taken all of it yet. */
  written(buffer: Buffer, kept: boolean): void {
    if (!kept || buffer !== this.#write) return;
    this.#write = Buffer.allocUnsafeSlow(WRITE_BYTES);
    this.#beginnings = [];
  }
}

/** Who is told what comes. */
export interface ClientEvents {
  /** The first `length` bytes of a buffer came; they are somebody else's afterwards. */
  received(bytes: Uint8Array, length: number): void;
  /** It takes more again. */
  drained(): void;
  /** It is closed, from whichever end. Told once. */
  closed(): void;
}

/** A client that has connected, or the descriptor of one that has in another process. */
export class ClientSocket {
  readonly #socket: Socket;
  readonly #buffers: SharedBuffers;
  readonly #events: ClientEvents;
  /** What it is written to by; -1 where only its socket may do so. */
  #fd = -1;
  /** Its socket was given something to write, and may not have done so yet. */
  #queued = false;
  #chunks = 0;
  readonly #since = performance.now();
  #waiting = false;
  #held = false;
  /** Another process may read from it: this one does not, whatever happens. */
  #given = false;

  /** @param client one that a server has accepted just now, paused; or a descriptor */
  constructor(client: Socket | { readonly fd: number }, buffers: SharedBuffers, events: ClientEvents) {
    this.#buffers = buffers;
    this.#events = events;
    this.#socket =
      client instanceof Socket
        ? (this.#onAccepted(client) ?? this.#asAccepted(client))
        : this.#onDescriptor(client.fd);
    this.#socket.on("drain", () => this.#events.drained());
    // The error is followed by close, and a client that vanishes is nothing special.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      if (client instanceof Socket) buffers.stays.gone(this.#chunks, performance.now() - this.#since);
      this.#events.closed();
    });
  }

  /** Reads it as the server made it. */
  #asAccepted(accepted: Socket): Socket {
    accepted.on("data", (chunk: Buffer) => this.#received(chunk, chunk.length));
    return accepted.resume();
  }

  /** Reads it on its descriptor, which saves a fifth of what a short request costs; null where that is not known. */
  #onAccepted(accepted: Socket): Socket | null {
    const { descriptors, stays } = this.#buffers;
    const fd = stays.likely ? descriptors.accepted() : null;
    if (fd === null) return null;
    try {
      const socket = new SocketOnAccepted(accepted, fd, this.#onRead(), this.#closing, descriptors);
      this.#fd = fd;
      return socket;
    } catch {
      descriptors.giveUp(fd);
      return null;
    }
  }

  #onDescriptor(fd: number): Socket {
    const socket = new DescriptorSocket(fd, this.#onRead(), this.#closing);
    this.#fd = fd;
    return socket;
  }

  /** The descriptor is closed, and may be somebody else's at once. */
  readonly #closing = (): void => {
    this.#fd = -1;
  };

  /** Has it read into the shared buffer, where otherwise 64 KiB are allocated for each chunk. */
  #onRead(): OnReadOpts {
    const callback = (length: number, bytes: Uint8Array): boolean => {
      this.#received(bytes, length);
      return !this.#waiting && !this.#held;
    };
    return { buffer: this.#buffers.read, callback };
  }

  #received(bytes: Uint8Array, length: number): void {
    this.#buffers.stays.heard(++this.#chunks);
    if (length >= TURN_BYTES) this.#letOthers();
    this.#events.received(bytes, length);
  }

  /** Its next turn comes after all others that have something. */
  #letOthers(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#socket.pause();
    setImmediate(() => {
      this.#waiting = false;
      if (!this.#held && !this.#given) this.#socket.resume();
    });
  }

  /** Reads nothing from it until `release`. */
  hold(): void {
    this.#held = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.#waiting && !this.#given) this.#socket.resume();
  }

  /**
   * Writes the first `length` bytes of a buffer of `SharedBuffers`.
   *
   * @returns whether it takes more now; where not, `drained` is told
   */
  write(buffer: Buffer, length: number): boolean {
    const written = this.#writeNow(buffer, length);
    if (written === length) return true;
    this.#queued = true;
    const rest = written === 0 ? this.#buffers.beginning(buffer, length) : buffer.subarray(written, length);
    const takesMore = this.#socket.write(rest);
    this.#buffers.written(buffer, this.#socket.writableLength > 0);
    return takesMore;
  }

  /**
   * Gives the system what it takes at once; returns how much. A socket has several
   * objects for each write and many for itself, and with a thousand clients none of
   * them is in a cache. What is left over, and what goes wrong, is the socket's.
   */
  #writeNow(buffer: Buffer, length: number): number {
    if (this.#fd < 0) return 0;
    if (this.#queued) {
      if (this.#socket.writableLength > 0) return 0;
      this.#queued = false;
    }
    try {
      return writeSync(this.#fd, buffer, 0, length);
    } catch {
      return 0;
    }
  }

  /** The socket itself, for a process that takes it over; from here on this one does not read from it. */
  give(): Socket {
    this.#given = true;
    return this.#socket;
  }

  /** Calls back once all that was written has reached the system, or never will. */
  whenWritten(done: () => void): void {
    this.#socket.write("", () => done());
  }

  /** Whether something of what was written has not reached the system yet. */
  get isWriting(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** Tells what came while it was not read from, and is still in this process. */
  tellUnread(): void {
    // Tells `received`: reading a stream by hand emits the event, too.
    while (this.#socket.read() !== null);
  }

  /** Reads again after another process was to take the socket over, and did not. */
  keep(): void {
    this.#given = false;
    if (!this.#held && !this.#waiting) this.#socket.resume();
  }

  /** Closes it once all is written. */
  end(): void {
    this.#fd = -1;
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
