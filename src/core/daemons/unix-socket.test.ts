// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, test } from "vitest";
import { PlainCells, must } from "../engine/cells.ts";
import { addMailbox, mailboxCell, takeMessage } from "../engine/mailbox.ts";
import {
  OUTSIDE_MAILBOX,
  clientReceives,
  clientTakes,
  closeByClient,
  closeByServer,
  connectSocket,
  isOpen,
  outsideLooks,
  readyMailbox,
  sendToClient,
  sendToServer,
  serverLooks,
  serverReceives,
  serverTakes,
  tellServer,
} from "./unix-socket.ts";

const SERVER = "daemon";
let cells = new PlainCells();

beforeEach(() => {
  cells = new PlainCells();
  addMailbox(cells, readyMailbox(SERVER));
  addMailbox(cells, OUTSIDE_MAILBOX);
});

const waiting = (mailbox: string): readonly unknown[] => must(cells, mailboxCell, mailbox).messages;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (of: { bytes: Uint8Array }): string => new TextDecoder().decode(of.bytes);

describe("a socket", () => {
  test("stands in its server's mailbox once, until the server looks", () => {
    connectSocket(cells, "a", SERVER);
    connectSocket(cells, "b", SERVER);
    for (const name of ["a", "b", "a", "a", "b"]) sendToServer(cells, name, bytes(name));
    expect(waiting(readyMailbox(SERVER))).toEqual(["a", "b"]);
    expect(takeMessage(cells, readyMailbox(SERVER))).toBe("a");
    serverLooks(cells, "a");
    sendToServer(cells, "a", bytes("!"));
    tellServer(cells, "a");
    expect(waiting(readyMailbox(SERVER))).toEqual(["b", "a"]);
    expect(text(serverReceives(cells, "a"))).toBe("aaa!");
  });

  test("gives its bytes in order, however they are taken", () => {
    connectSocket(cells, "a", SERVER);
    let got = "";
    for (const part of ["one ", "two ", "three"]) {
      sendToClient(cells, "a", bytes(part));
      got += text(clientReceives(cells, "a")).slice(0, 3);
      clientTakes(cells, "a", 3);
    }
    expect(got + text(clientReceives(cells, "a"))).toBe("one two three");
    sendToServer(cells, "a", bytes("xyz"));
    serverTakes(cells, "a", 2);
    expect(text(serverReceives(cells, "a"))).toBe("z");
  });

  test("of a real client tells the rim of what came and of the end, even when both are over", () => {
    connectSocket(cells, "a", SERVER, "outside");
    sendToClient(cells, "a", bytes("reply"));
    sendToClient(cells, "a", bytes("reply"));
    expect(waiting(OUTSIDE_MAILBOX)).toEqual(["a"]);
    outsideLooks(cells, takeMessage(cells, OUTSIDE_MAILBOX) as string);
    closeByServer(cells, "a");
    expect(waiting(OUTSIDE_MAILBOX)).toEqual(["a"]);
    outsideLooks(cells, takeMessage(cells, OUTSIDE_MAILBOX) as string);
    closeByClient(cells, "a");
    expect(isOpen(cells, "a")).toBe(false);
    expect(waiting(OUTSIDE_MAILBOX)).toEqual(["a"]);
    outsideLooks(cells, takeMessage(cells, OUTSIDE_MAILBOX) as string);
    serverLooks(cells, "a");
  });
});
