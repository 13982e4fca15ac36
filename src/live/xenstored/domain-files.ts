// SPDX-License-Identifier: Apache-2.0
//
// Domains as files of one folder, for a xenstored without a hypervisor: tests
// and clients on the same machine make domains, speak on their rings, and let
// them die. The real daemons can be run on the same files (bench/xenstored).
//
//   domains      a byte a domid: 0 absent, 1 running, 2 shut down, 3 dead
//   ring-<domid> the page of its ring; that of grant 1 on Xen
//   evtchn       a FIFO to xenstored, four bytes an event: the port, 7 for
//                VIRQ_DOM_EXC, 1000 and the domid for a domain's ring
//   notify       the same from xenstored

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import type { RingPage } from "../../core/xenstore/ring.ts";
import { readU32, writeU32 } from "../../core/xenstore/wire.ts";

/** The event that means: some domain has changed. */
export const VIRQ_PORT = 7;
/** The port of a domain's ring is this and its domid. */
export const FIRST_DOMAIN_PORT = 1000;

const RING_BYTES = 4096;
/** Bytes of `domains`: a domid each. */
const DOMIDS = 32_768;

/** What is known of a domain, as its byte in `domains`. */
export const domainStates = { absent: 0, running: 1, shutdown: 2, dead: 3 } as const;
export type DomainFileState = keyof typeof domainStates;

/** Makes what is missing in the folder, which is made, too. */
export function prepareDomainFiles(dir: string): void {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const domains = join(dir, "domains");
  if (!fs.existsSync(domains)) fs.writeFileSync(domains, new Uint8Array(DOMIDS), { mode: 0o600 });
  for (const fifo of ["evtchn", "notify"].map((name) => join(dir, name))) {
    if (fs.existsSync(fifo)) continue;
    try {
      execFileSync("mkfifo", ["-m", "600", fifo], { stdio: ["ignore", "ignore", "pipe"] });
    } catch (error) {
      // The other end may have made it meanwhile.
      if (!fs.existsSync(fifo)) throw error;
    }
  }
}

/** The state of a domain. */
export function domainState(dir: string, domid: number): number {
  if (domid < 0 || domid >= DOMIDS) return domainStates.absent;
  const fd = fs.openSync(join(dir, "domains"), "r");
  try {
    const byte = new Uint8Array(1);
    return fs.readSync(fd, byte, 0, 1, domid) === 1 ? (byte[0] as number) : domainStates.absent;
  } finally {
    fs.closeSync(fd);
  }
}

/** Sets the state of a domain; nobody is told (see `raise`). */
export function setDomainState(dir: string, domid: number, state: DomainFileState): void {
  const fd = fs.openSync(join(dir, "domains"), "r+");
  fs.writeSync(fd, Uint8Array.of(domainStates[state]), 0, 1, domid);
  fs.closeSync(fd);
}

/** A ring page in a file. Another process may have it mapped: nothing of it is kept here. */
export class RingFile implements RingPage {
  readonly #fd: number;

  constructor(dir: string, domid: number) {
    this.#fd = fs.openSync(join(dir, `ring-${domid}`), fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    if (fs.fstatSync(this.#fd).size < RING_BYTES) fs.ftruncateSync(this.#fd, RING_BYTES);
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = Buffer.alloc(length);
    fs.readSync(this.#fd, bytes, 0, length, offset);
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    fs.writeSync(this.#fd, bytes, 0, bytes.length, offset);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** One of the two FIFOs. */
export class EventFile {
  readonly #fd: number;
  #socket: Socket | undefined;
  #pending: Uint8Array = new Uint8Array(0);

  constructor(dir: string, name: "evtchn" | "notify") {
    // For both, so that neither end waits for the other or sees its end.
    this.#fd = fs.openSync(join(dir, name), fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  }

  /** Sends an event. One that finds the FIFO full is lost: whoever reads has thousands to look at. */
  raise(port: number): void {
    const bytes = new Uint8Array(4);
    writeU32(bytes, 0, port);
    try {
      fs.writeSync(this.#fd, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }

  /** Calls `heard` for each event, from now on. */
  listen(heard: (port: number) => void): void {
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    this.#socket.on("data", (chunk: Buffer) => {
      const bytes = Buffer.concat([this.#pending, chunk]);
      let at = 0;
      for (; at + 4 <= bytes.length; at += 4) heard(readU32(bytes, at));
      this.#pending = bytes.subarray(at);
    });
  }

  close(): void {
    if (this.#socket === undefined) fs.closeSync(this.#fd);
    else this.#socket.destroy();
  }
}
