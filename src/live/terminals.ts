// SPDX-License-Identifier: Apache-2.0
//
// Real terminals behind the consoles of a live host's domains. xenconsoled takes
// one out of a stock that the rim keeps full; what a domain prints goes to its
// terminal while somebody has that open, what is typed there goes to the domain.

import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import {
  consoleBufferCell,
  consoleHasOutput,
  domainConsoleCell,
  ptyStockCell,
  readConsole,
  writeConsoleInput,
} from "../core/daemons/xenconsoled-cells.ts";
import { input } from "../core/engine/input.ts";
import type { Driver } from "./driver.ts";
import type { Recorder } from "./recorder.ts";
import { terminalsProgram } from "./native.ts";

/** Terminals kept ready. */
const STOCK = 4;
/** sizeof(struct message) of native/terminals */
const HEADER_BYTES = 12;
/** BYTES_MAX of native/terminals */
const BYTES_MAX = 65_536;

/** A terminal is ready for the next console that wants one. */
const terminalMade = input("terminal.made", (host, { pty }: { pty: number }) => {
  const stock = host.get(ptyStockCell, 0);
  if (stock === undefined) host.add(ptyStockCell, 0, { ptys: [pty] });
  else host.edit(ptyStockCell, 0).ptys.push(pty);
});

/** What a console had for its reader was written to its terminal. */
const terminalRead = input("terminal.read", (host, { domid }: { domid: number }) => {
  readConsole(host, domid);
});

/** Somebody typed at a terminal: latin1, a character a byte. */
const terminalTyped = input("terminal.typed", (host, data: { domid: number; text: string }) => {
  const console = host.get(domainConsoleCell, data.domid);
  if (console !== undefined && console.mfn >= 0 && !console.isDead)
    writeConsoleInput(host, data.domid, data.text);
});

/** One terminal: its number below /dev/pts, and whose console it is. */
interface Terminal {
  pty: number;
  domid: number | null;
}

/** The terminals of a host. */
export class Terminals {
  readonly #driver: Driver;
  readonly #helper: ChildProcessByStdio<Writable, Readable, null>;
  /** By the number the helper knows them by. */
  readonly #terminals = new Map<number, Terminal>();
  /** Those that somebody has open. */
  readonly #open = new Set<number>();
  readonly #stopListening: () => void;
  readonly #stopTurns: () => void;
  #count = 0;
  #rest: Buffer = Buffer.alloc(0);
  #stopped = false;

  private constructor(program: string, driver: Driver, recorder: Recorder) {
    this.#driver = driver;
    this.#helper = spawn(program, { stdio: ["pipe", "pipe", "ignore"] });
    this.#helper.stdin.on("error", () => {});
    this.#helper.on("error", () => {});
    this.#helper.stdout.on("data", (bytes: Buffer) => this.#received(bytes));
    this.#stopListening = recorder.listenTo("terminal", ({ domid, pty, open }) =>
      open ? this.#taken(domid, pty) : this.#given(pty),
    );
    this.#stopTurns = driver.afterTurn(() => this.#print());
    for (let ready = 0; ready < STOCK; ready++) this.#order();
  }

  /** Makes terminals for a host; null where there is no compiler for the program that does. */
  static start(driver: Driver, recorder: Recorder): Terminals | null {
    const program = terminalsProgram();
    if (program === null) return null;
    driver.give(stockOpened, null);
    return new Terminals(program, driver, recorder);
  }

  stop(): void {
    this.#stopped = true;
    this.#stopListening();
    this.#stopTurns();
    this.#helper.stdin.end();
  }

  #say(letter: string, number: number, bytes: Uint8Array = new Uint8Array(0)): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(letter, 0, "latin1");
    header.writeUInt32LE(number, 4);
    header.writeUInt32LE(bytes.length, 8);
    if (!this.#stopped) this.#helper.stdin.write(Buffer.concat([header, bytes]));
  }

  #order(): void {
    this.#say("o", ++this.#count);
  }

  #received(bytes: Buffer): void {
    const data = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (data.length - at >= HEADER_BYTES) {
      const length = data.readUInt32LE(at + 8);
      if (data.length - at < HEADER_BYTES + length) break;
      const text = data.toString("latin1", at + HEADER_BYTES, at + HEADER_BYTES + length);
      this.#told(data.toString("latin1", at, at + 1), data.readUInt32LE(at + 4), text);
      at += HEADER_BYTES + length;
    }
    this.#rest = data.subarray(at);
  }

  #told(letter: string, number: number, text: string): void {
    if (this.#stopped) return;
    const terminal = this.#terminals.get(number);
    if (letter === "o") {
      const pty = Number(/^\/dev\/pts\/(\d+)$/.exec(text)?.[1] ?? -1);
      if (pty < 0) return;
      this.#terminals.set(number, { pty, domid: null });
      this.#driver.give(terminalMade, { pty });
    } else if (terminal === undefined) return;
    else if (letter === "r" && terminal.domid !== null)
      this.#driver.give(terminalTyped, { domid: terminal.domid, text });
    else if (letter === "a" || letter === "d") {
      if (letter === "a") this.#open.add(number);
      else this.#open.delete(number);
      this.#driver.wake();
    }
  }

  #byPty(pty: number): [number, Terminal] | undefined {
    return [...this.#terminals].find(([, terminal]) => terminal.pty === pty);
  }

  #taken(domid: number, pty: number): void {
    const found = this.#byPty(pty);
    if (found !== undefined) found[1].domid = domid;
    const ready = [...this.#terminals.values()].filter((terminal) => terminal.domid === null);
    if (ready.length < STOCK) this.#order();
  }

  #given(pty: number): void {
    const found = this.#byPty(pty);
    if (found === undefined) return;
    this.#terminals.delete(found[0]);
    this.#open.delete(found[0]);
    this.#say("c", found[0]);
    // The system gives its number out again, as it would to xenconsoled.
    this.#order();
  }

  /** Takes to their readers what domains have printed. */
  #print(): void {
    for (const number of this.#open) {
      const domid = this.#terminals.get(number)?.domid ?? null;
      if (domid === null || !consoleHasOutput(this.#driver.world, domid)) continue;
      const text = this.#driver.world.get(consoleBufferCell, domid)?.text ?? "";
      for (let at = 0; at < text.length; at += BYTES_MAX)
        this.#say("w", number, Buffer.from(text.slice(at, at + BYTES_MAX), "latin1"));
      this.#driver.give(terminalRead, { domid });
    }
  }
}

/** From here on consoles wait for terminals that are real. */
const stockOpened = input("terminal.stock", (host, _data: null) => {
  if (host.get(ptyStockCell, 0) === undefined) host.add(ptyStockCell, 0, { ptys: [] });
});
