// SPDX-License-Identifier: Apache-2.0
//
// Real xenstoreds as subjects: scripts go to driver.c in one piece, and come back
// as what every connection received, command by command.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownChild } from "../../../bench/xenstored/own-child.ts";
import { startReal, type RealKind, type RealXenstored } from "../../../bench/xenstored/real.ts";
import { compiled } from "../../../src/live/compile.ts";
import { readLatin1 } from "../../../src/core/xenstore/wire.ts";
import type { Command, ScriptLine } from "./script.ts";
import { domainStates } from "./steps.ts";

/** A message a connection received. */
export interface Received {
  readonly slot: number;
  readonly type: number;
  readonly body: string;
  /** Not the request identifier, or not the transaction's, that the request had. */
  readonly wrong: boolean;
}

/** What one command brought: messages in the order of arrival on each connection, and connections lost. */
export interface Answers {
  readonly messages: readonly Received[];
  readonly closed: readonly number[];
  readonly late: readonly number[];
}

/** A xenstored that scripts can be played to. */
export interface Subject {
  readonly name: string;
  /** How often it died or hung, and was started again. */
  readonly deaths: number;
  /** What each command brought. */
  play(script: readonly ScriptLine[]): Promise<readonly Answers[]> | readonly Answers[];
  stop(): Promise<void>;
}

/** Whether a daemon did not answer to the end. No script breaks the protocol, so that no connection may end. */
export function isDead(answers: readonly Answers[]): boolean {
  return answers.some(({ late, closed }) => late.length + closed.length > 0);
}

/** Whether it holds nothing of the script: else it is no measure for the next. */
function isClean(answers: readonly Answers[]): boolean {
  const left = answers.flatMap(({ messages }) => messages).at(-1)?.body ?? "";
  // oxenstored has nodes for the special watches.
  return ["tool\0", "@introduceDomain\0@releaseDomain\0tool\0"].includes(left) && !isDead(answers);
}

function driver(): string {
  return compiled({
    name: "xenstore-driver",
    folder: import.meta.dirname,
    files: ["driver.c"],
    flags: [],
    libraries: [],
  });
}

/** A real xenstored, started when it is needed, and again when it has ended. */
export function realSubject(kind: RealKind): Subject {
  return drivenSubject(kind, (run) => startReal(kind, run, { rings: true }));
}

/** oxenstored, which has its limits from its start: these are small, by the names in its configuration. */
export function narrowOcaml(): Subject {
  return drivenSubject("ocaml, with small limits", (run) =>
    startReal("ocaml", run, { rings: true, quotas: NARROW_QUOTAS }),
  );
}

const NARROW_QUOTAS = {
  maxentity: 4,
  maxsize: 60,
  maxwatch: 2,
  transaction: 1,
  maxrequests: 4,
  "path-max": 16,
};
/** The same for ours. */
export const NARROW_LIMITS = {
  nodes: 4,
  "node-size": 60,
  watches: 2,
  transactions: 1,
  "transaction-nodes": 4,
  "path-max": 16,
} as const;

/** Our own as a daemon: its socket, and rings of domains that it shares with the driver. */
export function daemonSubject(...args: readonly string[]): Subject {
  return drivenSubject("our daemon", async (run) => {
    mkdirSync(run, { recursive: true, mode: 0o700 });
    const cli = join(import.meta.dirname, "../../../bin/xenolith.js");
    const where = ["--socket", join(run, "socket"), "--domains", run];
    const child = spawn(...ownChild(process.execPath, [cli, "xenstored", ...where, ...args]), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exit]);
    return {
      run,
      stop: async () => {
        child.kill("SIGKILL");
        await exit;
      },
    };
  });
}

/** A daemon that listens at `run`/socket and shares rings as xenstub.c has them. */
type Daemon = Pick<RealXenstored, "run" | "stop">;

function drivenSubject(name: string, startDaemon: (run: string) => Promise<Daemon>): Subject {
  const root = mkdtempSync(join(tmpdir(), "xenstored-"));
  let number = 0;
  let playing: { real: Daemon; driver: ChildProcess; read: Reader } | undefined;

  const start = async (): Promise<NonNullable<typeof playing>> => {
    const real = await startDaemon(join(root, String(number++)));
    const child = spawn(driver(), [real.run], { stdio: ["pipe", "pipe", "inherit"] });
    return { real, driver: child, read: new Reader(child) };
  };
  const stop = async (): Promise<void> => {
    playing?.driver.kill("SIGKILL");
    await playing?.real.stop();
    playing = undefined;
  };

  let deaths = 0;
  return {
    name,
    get deaths() {
      return deaths;
    },
    play: async (script) => {
      playing ??= await start();
      playing.driver.stdin?.write(encodeScript(script));
      const answers = decodeAnswers(await playing.read.next());
      if (isDead(answers)) deaths++;
      if (!isClean(answers)) await stop();
      return answers;
    },
    stop: async () => {
      await stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Whole answers from a driver's output. */
class Reader {
  #bytes: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(child: ChildProcess) {
    child.stdout?.on("data", (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake?.();
    });
    child.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  async next(): Promise<Buffer> {
    for (;;) {
      if (this.#bytes.length >= 4) {
        const end = 4 + this.#bytes.readUInt32LE(0);
        if (this.#bytes.length >= end) {
          const answer = this.#bytes.subarray(4, end);
          this.#bytes = this.#bytes.subarray(end);
          return answer;
        }
      }
      if (this.#ended) throw new Error("the driver has ended; the xenstored it drives probably has, too");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** The script as bytes for driver.c. */
function encodeScript(script: readonly ScriptLine[]): Buffer {
  return Buffer.concat([...script.map(({ command }) => encodeCommand(command)), Buffer.from("E")]);
}

function encodeCommand(command: Command): Buffer {
  switch (command.op) {
    case "connect":
      return Buffer.from([0x43, command.slot]);
    case "close":
      return Buffer.from([0x58, command.slot]);
    case "quiet":
      return Buffer.from([0x51, command.slot]);
    case "settle":
      return Buffer.from("A");
    case "ring":
      return Buffer.from([0x52, command.slot, command.domid & 255, command.domid >> 8]);
    case "domain":
      return Buffer.from([
        command.isQuiet === true ? 0x64 : 0x44,
        command.domid & 255,
        command.domid >> 8,
        domainStates[command.state],
      ]);
    case "request": {
      const head = Buffer.alloc(13);
      head[0] = command.isQueued === true ? 0x50 : 0x53;
      head[1] = command.slot;
      head[2] = command.txSlot ?? 255;
      head.writeUInt32LE(command.type, 3);
      head.writeUInt32LE(command.txId, 7);
      head.writeUInt16LE(command.body.length, 11);
      return Buffer.concat([head, Buffer.from(command.body, "latin1")]);
    }
  }
}

function decodeAnswers(bytes: Buffer): Answers[] {
  const answers: Answers[] = [];
  let messages: Received[] = [];
  let closed: number[] = [];
  let late: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const kind = String.fromCharCode(bytes[at++] as number);
    if (kind === ".") {
      answers.push({ messages, closed, late });
      [messages, closed, late] = [[], [], []];
    } else if (kind === "M") {
      const length = bytes.readUInt16LE(at + 6);
      messages.push({
        slot: bytes[at] as number,
        wrong: bytes[at + 1] !== 0,
        type: bytes.readUInt32LE(at + 2),
        body: readLatin1(bytes, at + 8, at + 8 + length),
      });
      at += 8 + length;
    } else {
      (kind === "X" ? closed : late).push(bytes[at++] as number);
    }
  }
  return answers;
}
