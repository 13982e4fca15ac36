// SPDX-License-Identifier: Apache-2.0
//
// How commands talk to a live host: one connection a command, a line of JSON a
// message. The first line asks; lines come back until one carries the exit code.

import * as fs from "node:fs";
import * as net from "node:net";
import { createInterface } from "node:readline";

/** What a command asks of a host. */
export interface Request {
  verb: string;
  args: readonly string[];
  /** Anything else the verb wants: plain JSON. */
  data?: unknown;
}

/** What a host answers: text for the terminal, a result for programs, or the end. */
export type Answer = { out: string } | { err: string } | { result: unknown } | { exit: number };

/** A command's end of the conversation, as the host sees it. */
export interface Asker {
  say(answer: Answer): void;
  /** Called with what the command's user types, and with null when the command goes away. */
  onInput(call: (text: string | null) => void): void;
}

/** Answers a request. It may go on talking after it returned; `exit` ends the conversation. */
export type Handler = (request: Request, asker: Asker) => void;

/** A request longer than this is not one of ours. */
const LINE_BYTES_MAX = 4 << 20;

/** Listens for commands. Resolves when it listens; rejects with the system's error. */
export function serveControl(path: string, handler: Handler): Promise<net.Server> {
  const server = net.createServer((socket) => converse(socket, handler));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      fs.chmodSync(path, 0o600);
      resolve(server);
    });
  });
}

function converse(socket: net.Socket, handler: Handler): void {
  let inputs: ((text: string | null) => void)[] = [];
  let asked = false;
  let waiting = "";
  const asker: Asker = {
    say: (answer) => {
      if (socket.destroyed) return;
      socket.write(`${JSON.stringify(answer)}\n`);
      if ("exit" in answer) socket.end();
    },
    onInput: (call) => void inputs.push(call),
  };
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    for (const call of inputs) call(null);
    inputs = [];
  });
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    waiting += text;
    if (waiting.length > LINE_BYTES_MAX) return void socket.destroy();
    for (let end = waiting.indexOf("\n"); end >= 0; end = waiting.indexOf("\n")) {
      const line = waiting.slice(0, end);
      waiting = waiting.slice(end + 1);
      if (asked) for (const call of inputs) call(typedText(line));
      else {
        asked = true;
        begin(line, handler, asker);
      }
    }
  });
}

function begin(line: string, handler: Handler, asker: Asker): void {
  let request: Request;
  try {
    request = JSON.parse(line) as Request;
    if (typeof request.verb !== "string" || !Array.isArray(request.args)) throw new Error("no verb");
  } catch {
    asker.say({ err: "not a request\n" });
    asker.say({ exit: 2 });
    return;
  }
  handler(request, asker);
}

function typedText(line: string): string {
  try {
    const { input } = JSON.parse(line) as { input?: unknown };
    return typeof input === "string" ? input : "";
  } catch {
    return "";
  }
}

/** What came of a request: its exit code and its result, if it gave one. */
export interface Outcome {
  exit: number;
  result: unknown;
}

/** Nobody answers: the command that would start a host is the next thing to try. */
export class NoHost extends Error {}

/**
 * Asks a host and passes on what it says. Rejects with NoHost where none
 * answers, and where it goes away before the end.
 *
 * @param input what the user types, for verbs that read it
 */
export function ask(
  path: string,
  request: Request,
  say: { out: (text: string) => void; err: (text: string) => void },
  input?: NodeJS.ReadStream,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    let result: unknown;
    socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    const type = (text: Buffer): void =>
      void socket.write(`${JSON.stringify({ input: text.toString("latin1") })}\n`);
    input?.on("data", type);
    const finish = (): void => {
      input?.off("data", type);
      input?.pause();
      socket.destroy();
    };
    createInterface({ input: socket, crlfDelay: Infinity }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      if ("out" in answer) say.out(answer.out);
      else if ("err" in answer) say.err(answer.err);
      else if ("result" in answer) result = answer.result;
      else {
        finish();
        resolve({ exit: answer.exit, result });
      }
    });
    socket.on("error", () => reject(new NoHost(`no host answers at ${path}`)));
    socket.on("close", () => {
      finish();
      reject(new NoHost(`the host at ${path} went away`));
    });
  });
}
