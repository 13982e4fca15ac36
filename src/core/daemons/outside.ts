// SPDX-License-Identifier: Apache-2.0
//
// What the world outside does to sockets, as recorded inputs: real clients of
// our servers, and a real server in the place of one of ours.

import { input } from "../engine/input.ts";
import { addMailbox, takeMessage } from "../engine/mailbox.ts";
import type { Host } from "../engine/host.ts";
import {
  OUTSIDE_MAILBOX,
  clientTakes,
  closeByClient,
  closeByServer,
  connectSocket,
  endOutside,
  isOpen,
  outsideLooks,
  sendToClient,
  sendToServer,
  serverTakes,
} from "./unix-socket.ts";

/** Sets up what the rim reads: once a host. */
export function addOutside(host: Host): void {
  addMailbox(host, OUTSIDE_MAILBOX);
}

/** A real client connected to one of our servers. */
export const clientConnected = input("socket.connect", (host, data: { socket: string; server: string }) => {
  connectSocket(host, data.socket, data.server, "outside");
});

/** A real client, or a real server, sent bytes. */
export const outsideSent = input(
  "socket.data",
  (host, data: { socket: string; from: "client" | "server"; bytes: Uint8Array }) => {
    if (!isOpen(host, data.socket)) return;
    if (data.from === "client") sendToServer(host, data.socket, data.bytes);
    else sendToClient(host, data.socket, data.bytes);
  },
);

/** A real client, or a real server, is gone. */
export const outsideClosed = input(
  "socket.close",
  (host, data: { socket: string; from: "client" | "server" }) => {
    if (!isOpen(host, data.socket)) return;
    if (data.from === "client") closeByClient(host, data.socket);
    else closeByServer(host, data.socket);
  },
);

/** A real server has ended. */
export const serverEnded = input("server.ended", (host, data: { server: string }) => {
  endOutside(host, data.server);
});

/** Bytes that left the host: how many of what a socket's real end is to get. */
export type OutsideTaken = { socket: string; from: "client" | "server"; count: number };

/** The rim has seen so many names in its mailbox, and took bytes that were meant for the outside. */
export const outsideTook = input(
  "socket.took",
  (host, { seen, taken }: { seen: number; taken: OutsideTaken[] }) => {
    for (let at = 0; at < seen; at++) outsideLooks(host, takeMessage(host, OUTSIDE_MAILBOX) as string);
    for (const { socket, from, count } of taken) {
      if (!isOpen(host, socket)) continue;
      if (from === "client") serverTakes(host, socket, count);
      else clientTakes(host, socket, count);
    }
  },
);
