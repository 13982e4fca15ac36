// SPDX-License-Identifier: Apache-2.0
//
// The trace of a xenstored in a file, as C xenstored writes it: what CONTROL log,
// logfile and memreport are about (trace_io in xenstored_core.c).

import * as fs from "node:fs";
import { resolve } from "node:path";
import type { TraceFile, TraceLine } from "../../core/xenstore/ports.ts";
import { typeName } from "../../core/xenstore/wire.ts";

/** What is traced from the start, where each can be turned on and off (4.20 on). */
const FIRST_SWITCHES = ["obj", "io"] as const;

/** A trace file; closed, and without a name, until CONTROL logfile gives it one. */
export class LiveTraceFile implements TraceFile {
  readonly #switches = new Set<string>(FIRST_SWITCHES);
  #path: string | undefined;
  #fd: number | undefined;

  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  open(): void {
    this.close();
    if (this.#path === undefined) return;
    try {
      this.#fd = fs.openSync(this.#path, "a", 0o600);
      fs.writeSync(this.#fd, "\n***\n");
    } catch {
      // As C xenstored: the request succeeds, and nothing is traced.
      this.close();
    }
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  rename(path: string): void {
    this.#path = resolve(path);
    this.open();
  }

  isOn(name: string): boolean {
    return this.#switches.has(name);
  }

  turn(name: string, on: boolean): void {
    if (on) this.#switches.add(name);
    else this.#switches.delete(name);
  }

  report(path: string | null, text: string): boolean {
    const target = path === null ? this.#path : resolve(path);
    if (target === undefined) return false;
    try {
      fs.appendFileSync(target, text, { mode: 0o600 });
      return true;
    } catch {
      return false;
    }
  }

  /** Writes a line, where its kind is on. A disk that is full ends the trace, not xenstored. */
  write(line: TraceLine): void {
    if (this.#fd === undefined) return;
    try {
      if (line.type < 0) {
        if (this.isOn("obj")) fs.writeSync(this.#fd, objectLine(line));
      } else if (this.isOn("io")) fs.writeSync(this.#fd, messageLine(line, new Date()), null, "latin1");
    } catch {
      this.close();
    }
  }
}

/** A connection has no address here: its number stands for one. */
function address(conn: number): string {
  return `0x${conn.toString(16)}`;
}

function objectLine({ kind, conn }: TraceLine): string {
  return `${kind === "create-connection" ? "CREATE" : "DESTROY"} connection ${address(conn)}\n`;
}

function messageLine({ kind, conn, type, body }: TraceLine, now: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
  const direction = kind === "in" ? "IN" : "OUT";
  const text = body.replaceAll("\0", " ");
  return `${direction} ${address(conn)} ${day} ${time} ${typeName(type)} (${text})\n`;
}
