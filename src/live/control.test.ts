// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ask, NoHost, serveControl } from "./control.ts";
import type { Ears, Handler, Request } from "./control.ts";
import { Problem } from "./problem.ts";

const deaf: Ears = { out: () => {}, err: () => {} };

async function serve(handler: Handler): Promise<string> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "control-"));
  const socket = path.join(folder, "socket");
  const server = await serveControl(socket, handler);
  onTestFinished(() => {
    server.close();
    fs.rmSync(folder, { recursive: true });
  });
  return socket;
}

const list: Request = { verb: "list", args: ["-l"] };

test("what answers without being a host is said to be none", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "control-"));
  const socket = path.join(folder, "socket");
  const other = net.createServer((client) => client.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(socket);
  onTestFinished(() => {
    other.close();
    fs.rmSync(folder, { recursive: true });
  });
  await expect(ask(socket, list, deaf).outcome).rejects.toThrow(`what answers at ${socket} is no host`);
});

test("a request is answered in order: text, a result, the exit code", async () => {
  const socket = await serve(({ verb, args }, asker) => {
    asker.say({ out: `${verb} ${args.join(" ")}\n` });
    asker.say({ err: "careful\n" });
    asker.say({ result: [1] });
    asker.say({ exit: 3 });
    asker.say({ out: "too late" });
  });
  const heard: string[] = [];
  const { outcome } = ask(socket, list, { out: (text) => heard.push(text), err: (text) => heard.push(text) });
  expect(await outcome).toEqual({ exit: 3, result: [1] });
  expect(heard).toEqual(["list -l\n", "careful\n"]);
  expect(fs.statSync(socket).mode & 0o777).toBe(0o600);
});

test("what is typed arrives, also letter by letter in pieces of lines", async () => {
  const socket = await serve((_request, asker) => {
    let typed = "";
    asker.onInput((text) => {
      typed += text ?? "";
      if (!typed.endsWith("!")) return;
      asker.say({ result: typed });
      asker.say({ exit: 0 });
    });
  });
  const conversation = ask(socket, list, deaf);
  for (const letter of "grün!") conversation.typed(letter);
  expect((await conversation.outcome).result).toBe("grün!");
  const raw = net.connect(socket);
  const lines = Buffer.from(`${JSON.stringify(list)}\n${JSON.stringify({ input: "é!" })}\n`);
  for (const byte of lines) raw.write(Uint8Array.of(byte));
  const said: Buffer[] = [];
  for await (const chunk of raw) said.push(chunk as Buffer);
  expect(Buffer.concat(said).toString()).toBe('{"result":"é!"}\n{"exit":0}\n');
});

test("a command that goes away is noticed, and one that the host leaves gets an error", async () => {
  let gone: (value: unknown) => void = () => {};
  const noticed = new Promise((resolve) => void (gone = resolve));
  const socket = await serve((_request, asker) => asker.onInput(gone));
  const conversation = ask(socket, list, deaf);
  setTimeout(() => conversation.close(), 50);
  await expect(conversation.outcome).rejects.toThrow(NoHost);
  expect(await noticed).toBeNull();
});

test("nobody there, or no place to listen, is said so", async () => {
  await expect(ask("/none/socket", list, deaf).outcome).rejects.toThrow(
    "no host answers at /none/socket: there is no such file or directory",
  );
  await expect(serveControl("/none/socket", () => {})).rejects.toThrow(Problem);
});
