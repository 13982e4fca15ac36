// SPDX-License-Identifier: Apache-2.0
//
// A watch, as events to be read with `for await`.

/** A watch that fired. */
export interface WatchEvent {
  /** What changed: the watched path or one below it, relative where the watched path was. */
  readonly path: string;
  readonly token: string;
  /**
   * More had come than were read (`eventsMax`), and this one is in place of all of
   * them: anything at and below the watched path may have changed.
   */
  readonly rescan?: true;
}

/**
 * Events of one watch. The first comes at once, and again after every reconnect:
 * it says "look", not "this changed". Leaving a `for await` ends the watch; so
 * does `close`, after which what has come can still be read. Who reads slowly
 * loses nothing: an event like one that waits already is not kept twice (those
 * of special watches are), and
 * where more than `eventsMax` would wait, one with `rescan` is in their place.
 */
export interface Watch extends AsyncIterable<WatchEvent> {
  readonly path: string;
  readonly token: string;
  /** Stops watching. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  [Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void>;
}

/** How many events of a watch wait at most where nobody says otherwise. */
export const EVENTS_MAX = 4096;

/** Events that came before somebody asked for them, at most so many. */
export class EventQueue {
  readonly #watched: string;
  readonly #most: number;
  /** Events by path: a Map keeps them in order. */
  readonly #events = new Map<string, WatchEvent>();
  #rescan: WatchEvent | undefined;
  #pushed = 0;
  readonly #sleepers: (() => void)[] = [];
  #end: { readonly error: unknown } | undefined;

  /** @param watched the path that the event stands for which is in place of too many */
  constructor(watched: string, most: number) {
    this.#watched = watched;
    this.#most = most;
  }

  push(event: WatchEvent): void {
    // Those of special watches count.
    const key = event.path.startsWith("@") ? `${event.path}\0${this.#pushed++}` : event.path;
    if (this.#rescan === undefined && !this.#events.has(key)) {
      if (this.#events.size < this.#most) this.#events.set(key, event);
      else {
        this.#events.clear();
        this.#rescan = { path: this.#watched, token: event.token, rescan: true };
      }
    }
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
      const event = this.#take();
      if (event !== undefined) return event;
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return undefined;
      }
      await new Promise<void>((resolve) => void this.#sleepers.push(resolve));
    }
  }

  #take(): WatchEvent | undefined {
    const rescan = this.#rescan;
    this.#rescan = undefined;
    if (rescan !== undefined) return rescan;
    for (const [key, event] of this.#events) {
      this.#events.delete(key);
      return event;
    }
    return undefined;
  }

  #wake(): void {
    for (const wake of this.#sleepers.splice(0)) wake();
  }
}
