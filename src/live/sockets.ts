// SPDX-License-Identifier: Apache-2.0
//
// Real Unix sockets at the rim of a live host: bytes of real clients, and of real
// servers that stand in the place of ours, go in as inputs; what is meant for
// them comes out after every turn.

import * as net from "node:net";
import { must } from "../core/engine/cells.ts";
import { mailboxCell } from "../core/engine/mailbox.ts";
import { clientConnected, outsideClosed, outsideSent, outsideTook } from "../core/daemons/outside.ts";
import type { OutsideTaken } from "../core/daemons/outside.ts";
import {
  OUTSIDE_MAILBOX,
  clientReceives,
  isOpen,
  serverReceives,
  socketCell,
} from "../core/daemons/unix-socket.ts";
import type { Attention } from "./attention.ts";
import type { Driver } from "./driver.ts";

/** Bytes the other side may leave unread before we stop handing it more. */
const UNREAD_BYTES_MAX = 1 << 20;

/** Which end of a socket is real. */
type RealEnd = "client" | "server";

/** The real ends of a live host's sockets. */
export class Sockets {
  readonly #driver: Driver;
  readonly #attention: Attention;
  readonly #open = new Map<string, net.Socket>();
  /** Paths of real servers, by name. */
  readonly #servers = new Map<string, string>();
  #count = 0;

  constructor(driver: Driver, attention: Attention) {
    this.#driver = driver;
    this.#attention = attention;
    driver.afterTurn(() => this.#flush());
  }

  /** Takes connections for a server in the host. The listener must be listening or about to. */
  serve(listener: net.Server, server: string): void {
    listener.on("connection", (real) => {
      const socket = `outside.${++this.#count}`;
      this.#driver.give(clientConnected, { socket, server });
      this.#attach(socket, real, "client");
    });
  }

  /** Connects the host's processes to a real server, which listens at that path when they first speak to it. */
  reach(server: string, path: string): void {
    this.#servers.set(server, path);
  }

  /** Closes every connection. */
  close(): void {
    for (const real of this.#open.values()) real.destroy();
  }

  #attach(socket: string, real: net.Socket, from: RealEnd): void {
    this.#open.set(socket, real);
    real.on("data", (bytes) => {
      this.#driver.serve(outsideSent, { socket, from, bytes: Buffer.from(bytes) });
      if (from === "client") this.#attention.answered();
    });
    real.on("drain", () => this.#driver.guard(() => this.#flushAll([socket], 0)));
    real.on("error", () => real.destroy());
    real.on("close", () => {
      this.#open.delete(socket);
      this.#driver.give(outsideClosed, { socket, from });
    });
  }

  #flush(): void {
    const { messages } = must(this.#driver.world, mailboxCell, OUTSIDE_MAILBOX);
    if (messages.length > 0) this.#flushAll(messages as readonly string[], messages.length);
  }

  /** Hands out what there is on these sockets, which are the first `seen` names in the mailbox. */
  #flushAll(sockets: readonly string[], seen: number): void {
    const taken = sockets.flatMap((socket) => this.#flushOne(socket) ?? []);
    if (seen > 0 || taken.length > 0) this.#driver.world.give(outsideTook, { seen, taken });
  }

  /** The real end of a socket; a process's first words to a real server connect it. */
  #realEnd(socket: string): net.Socket | undefined {
    const known = this.#open.get(socket);
    const cell = this.#driver.world.get(socketCell, socket);
    if (known !== undefined || cell?.outside !== "server") return known;
    const path = this.#servers.get(cell.server);
    if (path === undefined) return undefined;
    const real = net.connect(path);
    this.#attach(socket, real, "server");
    return real;
  }

  /** What the real end of a socket was sent. */
  #flushOne(socket: string): OutsideTaken | null {
    const { world } = this.#driver;
    const real = this.#realEnd(socket);
    if (real === undefined) return null;
    if (!isOpen(world, socket)) {
      real.end();
      return null;
    }
    const toServer = must(world, socketCell, socket).outside === "server";
    const { bytes, closed } = toServer ? serverReceives(world, socket) : clientReceives(world, socket);
    const full = bytes.length > 0 && real.writableLength >= UNREAD_BYTES_MAX;
    if (full) return null;
    if (bytes.length > 0) real.write(bytes);
    if (closed) real.end();
    return bytes.length === 0 ? null : { socket, from: toServer ? "client" : "server", count: bytes.length };
  }
}
