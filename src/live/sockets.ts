// SPDX-License-Identifier: Apache-2.0
//
// Real Unix sockets at the rim of a live host: bytes of real clients go in as
// inputs, what servers in the host answer comes out after every turn.

import type * as net from "node:net";
import { must } from "../core/engine/cells.ts";
import { mailboxCell } from "../core/engine/mailbox.ts";
import {
  clientConnected,
  outsideClosed,
  outsideSeen,
  outsideSent,
  outsideTook,
} from "../core/daemons/outside.ts";
import { OUTSIDE_MAILBOX, clientReceives, isOpen } from "../core/daemons/unix-socket.ts";
import type { Driver } from "./driver.ts";

/** Bytes a real client may leave unread before we stop handing it more. */
const UNREAD_BYTES_MAX = 1 << 20;

/** The real ends of a live host's sockets. */
export class Sockets {
  readonly #driver: Driver;
  readonly #open = new Map<string, net.Socket>();
  #count = 0;

  constructor(driver: Driver) {
    this.#driver = driver;
    driver.afterTurn(() => this.#flush());
  }

  /** Takes connections for a server in the host. The listener must be listening or about to. */
  serve(listener: net.Server, server: string): void {
    listener.on("connection", (real) => this.#accept(real, server));
  }

  /** Closes every connection. */
  close(): void {
    for (const real of this.#open.values()) real.destroy();
  }

  #accept(real: net.Socket, server: string): void {
    const socket = `outside.${++this.#count}`;
    this.#open.set(socket, real);
    this.#driver.give(clientConnected, { socket, server });
    real.on("data", (bytes) =>
      this.#driver.give(outsideSent, { socket, from: "client", bytes: Uint8Array.from(bytes) }),
    );
    real.on("drain", () => this.#driver.guard(() => this.#flushOne(socket)));
    real.on("error", () => real.destroy());
    real.on("close", () => {
      this.#open.delete(socket);
      this.#driver.give(outsideClosed, { socket, from: "client" });
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

  #flushOne(socket: string): void {
    const { world } = this.#driver;
    const real = this.#open.get(socket);
    if (real === undefined) return;
    if (!isOpen(world, socket)) return void real.end();
    const { bytes, closed } = clientReceives(world, socket);
    if (bytes.length > 0 && real.writableLength < UNREAD_BYTES_MAX) {
      real.write(bytes);
      world.give(outsideTook, { socket, from: "server", count: bytes.length });
    }
    if (closed) real.end();
  }
}
