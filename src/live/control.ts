// SPDX-License-Identifier: Apache-2.0
//
// How commands talk to a live host: one connection a command, a line of JSON a
// message. The first line asks; lines come back until one carries the exit code.

import * as net from "node:net";
import { Problem, systemWords } from "./problem.ts";

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
const LINE_CHARS_MAX = 256 << 20;

/** Gives whole lines of a connection to `line`; one that is too long ends the connection. */
function eachLine(socket: net.Socket, line: (text: string) => void): void {
  const parts: string[] = [];
  let length = 0;
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    let from = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", from)) {
      parts.push(chunk.slice(from, end));
      from = end + 1;
      line(parts.join(""));
      parts.length = 0;
      length = 0;
    }
    parts.push(chunk.slice(from));
    length += chunk.length - from;
    if (length > LINE_CHARS_MAX) socket.destroy();
  });
}

/** Where commands are heard. */
export interface ControlServer {
  /** Hears no more; conversations under way have a moment to end. */
  close(): void;
}

/** Last words, the answer to `down` among them, take no longer to leave. */
const LAST_WORDS_MS = 200;

/** Listens for commands of this user. Resolves when it listens; rejects with Problem. */
export async function serveControl(path: string, handler: Handler): Promise<ControlServer> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    converse(socket, handler);
  });
  await listen(server, path);
  return {
    close: () => {
      server.close();
      for (const socket of sockets) setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
    },
  };
}

/** Listens at a path, for this user only. Rejects with Problem. */
export function listen(server: net.Server, path: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    server.once("listening", () => resolve(server));
    server.once("error", (error) => {
      reject(new Problem(`cannot listen at ${path}: ${systemWords(error)}`, "xenolith up --dir /tmp/xen"));
    });
    // The socket is made within this call: nobody else may connect before it has the right mode.
    const umask = process.umask(0o177);
    server.listen({ path, backlog: 511 });
    process.umask(umask);
  });
}

function converse(socket: net.Socket, handler: Handler): void {
  let inputs: ((text: string | null) => void)[] = [];
  let asked = false;
  const asker: Asker = {
    say: (answer) => {
      if (socket.destroyed || socket.writableEnded) return;
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
  eachLine(socket, (line) => {
    if (asked) for (const call of inputs) call(typedText(line));
    else {
      asked = true;
      begin(line, handler, asker);
    }
  });
}

function begin(line: string, handler: Handler, asker: Asker): void {
  const request = requestIn(line);
  if (request !== null) return handler(request, asker);
  asker.say({ err: "not a request\n" });
  asker.say({ exit: 2 });
}

function requestIn(line: string): Request | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { verb, args } = value as Partial<Request>;
  const words = Array.isArray(args) && args.every((word) => typeof word === "string");
  return typeof verb === "string" && words ? (value as Request) : null;
}

function answerIn(line: string): Answer | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Answer) : null;
  } catch {
    return null;
  }
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

/** Nobody answers, or not to the end. */
export class NoHost extends Error {
  /** Somebody may be there, but not for this user. */
  readonly forbidden: boolean;

  constructor(message: string, forbidden = false) {
    super(message);
    this.forbidden = forbidden;
  }
}

/** What is done with what a host says. */
export interface Ears {
  out: (text: string) => void;
  err: (text: string) => void;
  /** Called with a result as it comes; what it returns is typed in answer. */
  result?: (value: unknown) => string;
}

/** A conversation under way: `typed` sends what the user types. */
export interface Conversation {
  /** Rejects with NoHost where none answers, and where it goes away before the end. */
  readonly outcome: Promise<Outcome>;
  typed(text: string): void;
  /** Goes away, whether it has ended or not. */
  close(): void;
}

/** Asks a host and passes on what it says. */
export function ask(path: string, request: Request, { out, err, result: hear }: Ears): Conversation {
  const socket = net.connect(path);
  const typed = (text: string): void => void socket.write(`${JSON.stringify({ input: text })}\n`);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    let result: unknown;
    // Before anything that is typed, though nobody is connected to yet.
    socket.write(`${JSON.stringify(request)}\n`);
    eachLine(socket, (line) => {
      const answer = answerIn(line);
      if (answer === null) {
        reject(new NoHost(`what answers at ${path} is no host of Xenolith`));
        return void socket.destroy();
      }
      if ("out" in answer) out(answer.out);
      else if ("err" in answer) err(answer.err);
      else if ("result" in answer) {
        result = answer.result;
        if (hear !== undefined) typed(hear(result));
      } else {
        resolve({ exit: answer.exit, result });
        socket.destroy();
      }
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      reject(new NoHost(`no host answers at ${path}: ${systemWords(error)}`, error.code === "EACCES")),
    );
    socket.on("close", () => reject(new NoHost(`the host at ${path} went away`)));
  });
  return { outcome, typed, close: () => socket.destroy() };
}
