// SPDX-License-Identifier: Apache-2.0
//
// A run on its way into a file. A file system that takes no more ends the trace
// at the last whole line, not the run.

import fs from "node:fs";
import { formatTraceLine } from "../export/trace-file.ts";
import type { TraceHeader, TraceLine } from "../export/trace-file.ts";
import { Problem, systemWords } from "./problem.ts";

/** Text kept before it is written. */
const CHUNK_CHARS = 64 << 10;

/** Writes a trace, line after line. */
export class TraceWriter {
  readonly file: string;
  readonly #fd: number;
  readonly #stopped: (why: string) => void;
  #waiting = "";
  /** Bytes of whole lines in the file. */
  #bytes = 0;
  #open = true;

  /**
   * Makes the file, or empties it. Throws Problem where that fails.
   *
   * @param stopped told once, in words, when the file takes no more
   */
  constructor(file: string, header: TraceHeader, stopped: (why: string) => void) {
    this.file = file;
    this.#stopped = stopped;
    try {
      this.#fd = fs.openSync(file, "w", 0o644);
    } catch (error) {
      throw new Problem(`cannot write the trace ${file}: ${systemWords(error)}`, null);
    }
    this.write(header);
    this.flush();
  }

  /** Whether the file holds everything that was written so far, or will. */
  get complete(): boolean {
    return this.#open;
  }

  write(line: TraceHeader | TraceLine): void {
    if (!this.#open) return;
    this.#waiting += `${formatTraceLine(line)}\n`;
    if (this.#waiting.length >= CHUNK_CHARS) this.flush();
  }

  /** Writes what waits. */
  flush(): void {
    if (!this.#open || this.#waiting === "") return;
    const bytes = Buffer.from(this.#waiting, "utf8");
    this.#waiting = "";
    let done = 0;
    try {
      while (done < bytes.length) done += fs.writeSync(this.#fd, bytes, done, bytes.length - done);
      this.#bytes += bytes.length;
    } catch (error) {
      this.#giveUp(bytes.subarray(0, done), error);
    }
  }

  close(): void {
    this.flush();
    if (!this.#open) return;
    this.#open = false;
    fs.closeSync(this.#fd);
  }

  /** Half a line would make the file unreadable: it is cut off. */
  #giveUp(written: Buffer, error: unknown): void {
    this.#open = false;
    const whole = this.#bytes + written.lastIndexOf("\n") + 1;
    try {
      fs.ftruncateSync(this.#fd, whole);
    } catch {
      // A device is written to, not a file: nothing to cut.
    }
    fs.closeSync(this.#fd);
    this.#stopped(`the trace ${this.file} ends here, after ${whole} bytes: ${systemWords(error)}`);
  }
}
