// SPDX-License-Identifier: Apache-2.0
//
// A terminal that shows lines: on its alternate screen, with the cursor hidden
// and keys read one by one; as it was again afterwards, whatever happens.

import type { ReadStream, WriteStream } from "node:tty";

/** Redrawn at most this often. */
const REDRAW_MS = 200;

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE_END = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** What a screen shows and who hears its keys. */
export interface ScreenOptions {
  readonly output: WriteStream;
  /** Keys are read where this is a terminal. */
  readonly input: ReadStream;
  /** The lines to show; asked for whenever it is drawn. */
  readonly lines: (columns: number, rows: number, styles: boolean) => string[];
  readonly key: (key: string) => void;
}

/** A terminal in our hands. */
export class Screen {
  readonly #options: ScreenOptions;
  readonly #styles: boolean;
  #timer: NodeJS.Timeout | null = null;
  #drawnAt = -Infinity;
  #open = true;
  readonly #onKey: (bytes: Buffer) => void;
  readonly #restore = (): void => this.close();
  readonly #resized = (): void => this.#draw();

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#styles = (process.env["NO_COLOR"] ?? "") === "";
    this.#onKey = (bytes) => {
      for (const key of bytes.toString("utf8")) if (this.#open) options.key(key);
    };
    const { input, output } = options;
    output.write(ENTER);
    output.on("resize", this.#resized);
    process.once("exit", this.#restore);
    if (input.isTTY) {
      input.setRawMode(true);
      input.on("data", this.#onKey);
      input.resume();
    }
    this.#draw();
  }

  /** Something has changed: draws soon, but not too often. */
  changed(): void {
    if (this.#timer !== null || !this.#open) return;
    const wait = Math.max(0, this.#drawnAt + REDRAW_MS - performance.now());
    this.#timer = setTimeout(() => this.#draw(), wait);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const { input, output } = this.#options;
    output.off("resize", this.#resized);
    process.off("exit", this.#restore);
    if (input.isTTY) {
      input.off("data", this.#onKey);
      input.setRawMode(false);
      input.pause();
    }
    output.write(LEAVE);
  }

  #draw(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#open) return;
    this.#drawnAt = performance.now();
    const { output, lines } = this.#options;
    const rows = lines(output.columns, output.rows, this.#styles);
    output.write(`${HOME}${rows.map((line) => line + CLEAR_LINE_END).join("\r\n")}${CLEAR_BELOW}`);
  }
}
