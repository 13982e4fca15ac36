// SPDX-License-Identifier: Apache-2.0
//
// Somebody who watches a host: on one screen of a terminal, or as lines where
// there is none.

import type { TraceRecord } from "../core/engine/trace.ts";
import type { LiveHost } from "./live-host.ts";
import { Screen } from "./screen.ts";
import { statusOf } from "./status.ts";
import { viewLines } from "./view.ts";
import type { ViewModel } from "./view.ts";
import { wordsOf } from "./words.ts";

/** Events kept for the screen: more than any terminal has lines. */
const KEPT_EVENTS = 500;
/** The screen's clock and CPU times move on even when nothing happens. */
const TICK_MS = 1_000;

export interface OnlookerOptions {
  host: LiveHost;
  version: string;
  /** Commands to try next. */
  hints: readonly string[];
  /** The user wants the host to stop. */
  quit: () => void;
}

/** Shows a host. `warn` is for what must be seen; `close` gives the terminal back. */
export interface Onlooker {
  warn(text: string): void;
  close(): void;
}

/** Names outlive their nodes: a domain's last events come when xenstore has forgotten it. */
class Names {
  readonly #known = new Map<number, string>();
  readonly #host: LiveHost;

  constructor(host: LiveHost) {
    this.#host = host;
  }

  of(domid: number): string | undefined {
    const name = this.#host.nameOf(domid);
    if (name !== null) this.#known.set(domid, name);
    return this.#known.get(domid);
  }

  /** A new domain may have an old one's number. */
  hear({ kind, data }: TraceRecord): void {
    if (kind === "domain" && data.state === "created") this.#known.delete(data.domid);
  }
}

/** Prints lines: where there is no terminal. */
function lines({ host }: OnlookerOptions): Onlooker {
  const names = new Names(host);
  const stop = host.recorder.listen((event) => {
    names.hear(event);
    const words = wordsOf(event, (domid) => names.of(domid));
    if (words !== null) process.stdout.write(`${(event.at / 1e6).toFixed(3).padStart(10)}s  ${words}\n`);
  });
  return { warn: (text) => void process.stderr.write(`xenolith: ${text}\n`), close: stop };
}

/** Shows one screen. */
function onScreen({ host, version, hints, quit }: OnlookerOptions): Onlooker {
  const names = new Names(host);
  const events: { at: number; text: string }[] = [];
  let alert: string | null = null;
  const model = (): ViewModel => {
    const { xen, domains, memoryMiB, xenstored, trace } = statusOf(host);
    const { free: freeMiB, total: totalMiB } = memoryMiB;
    return {
      version,
      xen,
      now: host.world.now,
      domains,
      freeMiB,
      totalMiB,
      events,
      socket: xenstored,
      trace,
      hints,
      alert,
    };
  };
  const screen = new Screen({
    output: process.stdout,
    input: process.stdin,
    lines: (columns, rows, styles) => viewLines(model(), columns, rows, styles),
    key: (key) => {
      if (key === "q" || key === "\u0003") quit();
      else if (key === "l" || key === "\f") screen.changed();
    },
  });
  const stop = host.recorder.listen((event) => {
    names.hear(event);
    const text = wordsOf(event, (domid) => names.of(domid));
    if (text === null) return;
    events.push({ at: event.at, text });
    if (events.length > KEPT_EVENTS) events.shift();
    screen.changed();
  });
  const tick = setInterval(() => screen.changed(), TICK_MS);
  return {
    warn: (text) => {
      alert = text;
      screen.changed();
    },
    close: () => {
      clearInterval(tick);
      stop();
      screen.close();
    },
  };
}

/** Watches a host in the way this process's output allows. */
export function watchHost(options: OnlookerOptions): Onlooker {
  return process.stdout.isTTY ? onScreen(options) : lines(options);
}
