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

/** The rim took bytes that were meant for the outside. */
export const outsideTook = input(
  "socket.took",
  (host, data: { socket: string; from: "client" | "server"; count: number }) => {
    if (!isOpen(host, data.socket)) return;
    if (data.from === "client") serverTakes(host, data.socket, data.count);
    else clientTakes(host, data.socket, data.count);
  },
);

/** The rim has seen every name in its mailbox. */
export const outsideSeen = input("socket.seen", (host, data: { count: number }) => {
  for (let at = 0; at < data.count; at++) outsideLooks(host, takeMessage(host, OUTSIDE_MAILBOX) as string);
});
