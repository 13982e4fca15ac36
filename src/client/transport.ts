// SPDX-License-Identifier: Apache-2.0
//
// Two ways to a xenstored: the Unix socket of a daemon in this domain, or the
// kernel's device, by which a guest (or a dom0 without the daemon) reaches it.

import { close, open, read, statSync, write } from "node:fs";
import { connect, type Socket } from "node:net";

/** Bytes to and from a xenstored. */
export interface Transport {
  /** The kernel is in between: it answers some requests itself, and takes one message a write. */
  readonly isDevice: boolean;
  /** Sends a whole message. `failed` is told the system's error where this message was refused and others go on. */
  send(message: Uint8Array, failed: (error: NodeJS.ErrnoException) => void): void;
  /** Ends it; `ended` of its listener is not called any more. */
  close(): void;
}

/** Who hears of a transport. */
export interface TransportListener {
  received(bytes: Buffer): void;
  /** It is over; the system's error where there is one. */
  ended(error: Error | undefined): void;
}

/** Where xenstored listens in dom0. */
export const DEFAULT_SOCKET_PATH = "/var/run/xenstored/socket";
/** Linux's device, newer and older. */
const DEVICES = ["/dev/xen/xenbus", "/proc/xen/xenbus"];

/** The path to use: what is given, XENSTORED_PATH, the default socket, or the device where there is only that. */
export function defaultPath(given: string | undefined): string {
  const named = given ?? process.env["XENSTORED_PATH"];
  if (named !== undefined && named !== "") return named;
  const there = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
  return [DEFAULT_SOCKET_PATH, ...DEVICES].find(there) ?? DEFAULT_SOCKET_PATH;
}

/** Opens the path, a socket or a device. Rejects with the system's error. */
export function openTransport(path: string, listener: TransportListener): Promise<Transport> {
  const isDevice = statSync(path, { throwIfNoEntry: false })?.isCharacterDevice() === true;
  return isDevice ? openDevice(path, listener) : openSocket(path, listener);
}

function openSocket(path: string, listener: TransportListener): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      let failure: Error | undefined;
      socket.off("error", reject);
      socket.on("data", (chunk: Buffer) => listener.received(chunk));
      socket.on("error", (error) => (failure = error));
      socket.on("close", () => listener.ended(failure));
      resolve({
        isDevice: false,
        send: (message) => void socket.write(message),
        close: () => {
          socket.removeAllListeners("data").removeAllListeners("close");
          socket.destroy();
        },
      });
    });
  });
}

function openDevice(path: string, listener: TransportListener): Promise<Transport> {
  return new Promise((resolve, reject) => {
    open(path, "r+", (error, fd) => {
      if (error === null) resolve(new Device(fd, listener));
      else reject(error);
    });
  });
}

/** What wakes a read that waits in the kernel: any request that is answered (GET_DOMAIN_PATH of domain 0). */
const WAKE = Uint8Array.of(10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x30, 0);

/**
 * A character device. Reads wait in the kernel, in a thread of Node's pool; so one
 * is under way all the time, and to end it a last request is sent whose answer
 * lets it return.
 */
class Device implements Transport {
  readonly isDevice = true;
  readonly #fd: number;
  readonly #listener: TransportListener;
  readonly #buffer = Buffer.alloc(8192);
  readonly #queue: { message: Uint8Array; failed: (error: NodeJS.ErrnoException) => void }[] = [];
  #isWriting = false;
  #isClosed = false;

  constructor(fd: number, listener: TransportListener) {
    this.#fd = fd;
    this.#listener = listener;
    this.#read();
  }

  send(message: Uint8Array, failed: (error: NodeJS.ErrnoException) => void): void {
    this.#queue.push({ message, failed });
    if (!this.#isWriting) this.#write();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.send(WAKE, () => undefined);
  }

  #write(): void {
    const next = this.#queue.shift();
    this.#isWriting = next !== undefined;
    if (next === undefined) return;
    write(this.#fd, next.message, 0, next.message.length, null, (error) => {
      if (error !== null) next.failed(error);
      this.#write();
    });
  }

  #read(): void {
    read(this.#fd, this.#buffer, 0, this.#buffer.length, null, (error, length) => {
      if (this.#isClosed || error !== null || length === 0) {
        close(this.#fd, () => undefined);
        if (!this.#isClosed) this.#listener.ended(error ?? undefined);
        this.#isClosed = true;
        return;
      }
      this.#listener.received(Buffer.from(this.#buffer.subarray(0, length)));
      this.#read();
    });
  }
}
