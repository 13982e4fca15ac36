// SPDX-License-Identifier: Apache-2.0
//
// How a socket that a server has accepted is read into a buffer of one's own.

import { Socket, type OnReadOpts } from "node:net";
import type { AcceptedDescriptors } from "./accepted-descriptors.ts";

/** After how many milliseconds another attempt is made to close what could not be. */
const AGAIN_MS = 100;

/** A socket on a descriptor that is known, and may be used for as long as `closing` has not been told. */
export class DescriptorSocket extends Socket {
  readonly #closing: () => void;

  /** @throws the system's error where it cannot be made */
  constructor(fd: number, onread: OnReadOpts, closing: () => void) {
    super({ fd, readable: true, writable: true, onread });
    this.#closing = closing;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#closing();
    super._destroy(error, done);
  }
}

/**
 * A socket on the descriptor of one that a server has accepted. Node reads a
 * server's sockets in its own way, which allocates 64 KiB for each chunk; one that
 * is made for a descriptor may bring a buffer. The server's is paused from its
 * beginning (`pauseOnConnect`), and does nothing but to be closed after this one.
 */
export class SocketOnAccepted extends DescriptorSocket {
  readonly #accepted: Socket;
  readonly #fd: number;
  readonly #descriptors: AcceptedDescriptors;

  /** @throws the system's error where it cannot be made */
  constructor(
    accepted: Socket,
    fd: number,
    onread: OnReadOpts,
    closing: () => void,
    descriptors: AcceptedDescriptors,
  ) {
    super(fd, onread, closing);
    this.#accepted = accepted;
    this.#fd = fd;
    this.#descriptors = descriptors;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#descriptors.closeBoth(
      this.#fd,
      () => super._destroy(error, done),
      () => this.#accepted.destroy(),
      (again) => setTimeout(again, AGAIN_MS),
    );
  }
}

/** Chunks after which a client is taken for one that stays. */
const CHUNKS_TO_STAY = 2;
/** And one that is there for so many milliseconds is, too: who watches asks once, and then listens. */
const MS_TO_STAY = 100;
/** After so many in a row that hardly asked anything, clients are taken for such. */
const SHORT_MAX = 8;
/** But one in so many milliseconds is not. */
const LONG_EACH_MS = 10;

/** Whether clients stay: only for one that does it pays to look for its descriptor. */
export class Stays {
  #short = 0;
  #lastTaken = 0;

  get likely(): boolean {
    if (this.#short < SHORT_MAX) return true;
    const now = performance.now();
    if (now - this.#lastTaken < LONG_EACH_MS) return false;
    this.#lastTaken = now;
    return true;
  }

  /** One has sent something, for the so manieth time. */
  heard(chunks: number): void {
    if (chunks === CHUNKS_TO_STAY) this.#short = 0;
  }

  /** One is gone that has sent something so many times, and was there for so long. */
  gone(chunks: number, milliseconds: number): void {
    if (chunks >= CHUNKS_TO_STAY) return;
    if (milliseconds >= MS_TO_STAY) this.#short = 0;
    else this.#short++;
  }
}
