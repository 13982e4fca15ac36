// SPDX-License-Identifier: Apache-2.0
//
// Real Unix sockets at the rim of a live host: bytes of real clients, and of real
// servers that stand in the place of ours, go in as inputs; what is meant for
// them comes out after every turn.

import * as net from "node:net";
import { must } from "../core/engine/cells.ts";
import { mailboxCell } from "../core/engine/mailbox.ts";
import {
  clientConnected,
  outsideClosed,
  outsideSeen,
  outsideSent,
  outsideTook,
} from "../core/daemons/outside.ts";
import {
  OUTSIDE_MAILBOX,
  clientReceives,
  isOpen,
  serverReceives,
  socketCell,
} from "../core/daemons/unix-socket.ts";
import type { Driver } from "./driver.ts";

/** Bytes the other side may leave unread before we stop handing it more. */
const UNREAD_BYTES_MAX = 1 << 20;

/** Which end of a socket is real. */
type RealEnd = "client" | "server";

/** The real ends of a live host's sockets. */
export class Sockets {
  readonly #driver: Driver;
  readonly #open = new Map<string, net.Socket>();
  /** Paths of real servers, by name. */
  readonly #servers = new Map<string, string>();
  #count = 0;

  constructor(driver: Driver) {
    this.#driver = driver;
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
    real.on("data", (bytes) =>
      this.#driver.give(outsideSent, { socket, from, bytes: Uint8Array.from(bytes) }),
    );
    real.on("drain", () => this.#driver.guard(() => this.#flushOne(socket)));
    real.on("error", () => real.destroy());
    real.on("close", () => {
      this.#open.delete(socket);
      this.#driver.give(outsideClosed, { socket, from });
    });
  }

  #flush(): void {
    const { world } = this.#driver;
    const { messages } = must(world, mailboxCell, OUTSIDE_MAILBOX);
    if (messages.length === 0) return;
    const names = [...messages] as string[];
    world.give(outsideSeen, { count: names.length });
    for (const name of names) this.#flushOne(name);
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

  #flushOne(socket: string): void {
    const { world } = this.#driver;
    const real = this.#realEnd(socket);
    if (real === undefined) return;
    if (!isOpen(world, socket)) return void real.end();
    const toServer = must(world, socketCell, socket).outside === "server";
    const { bytes, closed } = toServer ? serverReceives(world, socket) : clientReceives(world, socket);
    if (bytes.length > 0) {
      if (real.writableLength >= UNREAD_BYTES_MAX) return;
      real.write(bytes);
      world.give(outsideTook, { socket, from: toServer ? "client" : "server", count: bytes.length });
    }
    if (closed) real.end();
  }
}
