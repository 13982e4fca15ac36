// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from "node:events";
import type { ReadStream, WriteStream } from "node:tty";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Screen } from "./screen.ts";

/** A terminal that remembers what was done to it. */
class Terminal extends EventEmitter {
  columns = 40;
  rows = 3;
  isTTY = true;
  raw = false;
  written: string[] = [];
  write(text: string): void {
    this.written.push(text);
  }
  setRawMode(raw: boolean): void {
    this.raw = raw;
  }
  resume(): void {}
  pause(): void {}
}

let terminal = new Terminal();
let keys = "";

function open(): Screen {
  return new Screen({
    output: terminal as unknown as WriteStream,
    input: terminal as unknown as ReadStream,
    lines: (columns, rows) => [`${columns}x${rows}`],
    key: (key) => void (keys += key),
  });
}

beforeEach(() => {
  terminal = new Terminal();
  keys = "";
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

test("takes the terminal and gives it back as it was, once", () => {
  const exits = process.listenerCount("exit");
  const screen = open();
  expect(terminal.raw).toBe(true);
  expect(terminal.written[0]).toBe("\u001b[?1049h\u001b[?25l");
  screen.close();
  screen.close();
  expect(terminal.raw).toBe(false);
  expect(terminal.written.filter((text) => text === "\u001b[?25h\u001b[?1049l")).toHaveLength(1);
  expect(terminal.eventNames().flatMap((name) => terminal.listeners(name))).toEqual([]);
  expect(process.listenerCount("exit")).toBe(exits);
});

test("draws at most five times a second, however much changes, and when it is resized", () => {
  const screen = open();
  const drawn = (): number => terminal.written.filter((text) => text.startsWith("\u001b[H")).length;
  for (let at = 0; at < 1000; at++) {
    screen.changed();
    vi.advanceTimersByTime(1);
  }
  expect(drawn()).toBeGreaterThan(3);
  expect(drawn()).toBeLessThanOrEqual(6);
  terminal.columns = 20;
  terminal.emit("resize");
  expect(terminal.written.at(-1)).toContain("20x3");
  screen.close();
  const before = drawn();
  screen.changed();
  vi.advanceTimersByTime(1000);
  expect(drawn()).toBe(before);
});

test("keys come one by one", () => {
  const screen = open();
  terminal.emit("data", Buffer.from("lq"));
  expect(keys).toBe("lq");
  screen.close();
});
