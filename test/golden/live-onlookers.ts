// SPDX-License-Identifier: Apache-2.0
//
// Who looks on while a scenario runs on a live host, beside its own trace: C
// xenstored's trace of itself, the real xenstore-watch, the real xenstore-ls.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import { ownChild } from "../../bench/xenstored/own-child.ts";
import { connectXenstore } from "../../src/live/xenstore-client.ts";
import type { StoreLine, Time } from "./recording.ts";

/** The recordings' watches, and the tokens their watcher gave them; xenstore-watch's are the paths. */
export const WATCHES: ReadonlyMap<string, string> = new Map([
  ["/", "w1"],
  ["@introduceDomain", "w2"],
  ["@releaseDomain", "w3"],
]);

/** A line that a program wrote, and when it came. */
export interface Stamped {
  time: Time;
  line: string;
}

/** Stamps lines as they come. */
export class Lines {
  readonly all: Stamped[] = [];
  /** When the last one came, by the clock. */
  last: Time = 0;
  #rest = "";

  /** Takes what a stream gives; `clock` says what time it is. */
  collect(from: NodeJS.ReadableStream, clock: () => Time): void {
    from.on("data", (bytes: Buffer) => {
      const lines = (this.#rest + bytes.toString("latin1")).split("\n");
      this.#rest = lines.pop() ?? "";
      this.last = clock();
      for (const line of lines) this.all.push({ time: this.last, line });
    });
  }

  /** All of them, as the recordings' tools stamp lines. */
  stamped(): string {
    return this.all.map(({ time, line }) => `${time.toFixed(3)} ${line}\n`).join("");
  }
}

/**
 * Has C xenstored write its trace into a pipe: what it says of a request is
 * there before what follows from its reply reaches the host, and is stamped so.
 */
export async function traceXenstored(
  socket: string,
  pipe: string,
  lines: Lines,
  clock: () => Time,
): Promise<net.Socket> {
  execFileSync("mkfifo", [pipe]);
  const reader = new net.Socket({ fd: fs.openSync(pipe, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK) });
  lines.collect(reader, clock);
  const client = await connectXenstore(socket);
  await client.control("logfile", pipe);
  client.close();
  return reader;
}

/** The store's traffic, the watcher's tokens those of the recordings' watcher. */
export function namedWatches(store: readonly StoreLine[]): StoreLine[] {
  const watcher = store.find(
    (line) => line.kind === "request" && line.type === "WATCH" && line.body.trimEnd() === "/ /",
  );
  return store.map((line) => {
    if (line.connection !== watcher?.connection || line.kind === "connect" || line.kind === "disconnect")
      return line;
    const [path = "", token = ""] = line.body.split(" ");
    const name = /^WATCH(_EVENT)?$/.test(line.type) ? WATCHES.get(token) : undefined;
    return name === undefined ? line : { ...line, body: `${path} ${name} ` };
  });
}

/** Starts the real xenstore-watch on the recordings' watches. It ends with us: it spins once its xenstored is gone. */
export function watchStore(socket: string, lines: Lines, clock: () => Time): ChildProcess {
  const env = { ...process.env, XENSTORED_PATH: socket };
  const [command, words] = ownChild("xenstore-watch", [...WATCHES.keys()]);
  const watcher = spawn(command, words, { env });
  lines.collect(watcher.stdout, clock);
  return watcher;
}

/** What the real `xenstore-ls -fp` prints. */
export async function listStore(socket: string): Promise<string> {
  const child = spawn("xenstore-ls", ["-fp"], { env: { ...process.env, XENSTORED_PATH: socket } });
  let text = "";
  child.stdout.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
  await new Promise((resolve) => child.on("close", resolve));
  return text;
}
