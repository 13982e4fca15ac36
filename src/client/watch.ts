// SPDX-License-Identifier: Apache-2.0
//
// A watch, as events to be read with `for await`.

/** A watch that fired. */
export interface WatchEvent {
  /** What changed: the watched path or one below it, relative where the watched path was. */
  readonly path: string;
  readonly token: string;
}

/**
 * Events of one watch. The first comes at once, and again after every reconnect:
 * it says "look", not "this changed". Leaving a `for await` ends the watch; so
 * does `close`, after which what has come can still be read.
 */
export interface Watch extends AsyncIterable<WatchEvent> {
  readonly path: string;
  readonly token: string;
  /** Stops watching. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  [Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void>;
}

/** Events that came before somebody asked for them. */
export class EventQueue {
  readonly #events: WatchEvent[] = [];
  readonly #sleepers: (() => void)[] = [];
  #end: { readonly error: unknown } | undefined;

  push(event: WatchEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  /** No more will come; readers are thrown `error` once they have read the rest, unless it is undefined. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  /** The next event, or undefined at the end. */
  async next(): Promise<WatchEvent | undefined> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return event;
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return undefined;
      }
      await new Promise<void>((resolve) => void this.#sleepers.push(resolve));
    }
  }

  #wake(): void {
    for (const wake of this.#sleepers.splice(0)) wake();
  }
}
