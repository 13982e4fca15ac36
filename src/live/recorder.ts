// SPDX-License-Identifier: Apache-2.0
//
// Everything a live host does passes by here: on to those who listen, into the
// trace where one is written, and the last of it is kept in case the host stops.

import type { TraceEvents, TraceRecord } from "../core/engine/trace.ts";
import type { ForeignWrite, World } from "../core/engine/world.ts";
import type { TraceHeader } from "../export/trace-file.ts";
import { KeptLines } from "./kept-lines.ts";
import type { KeptLine } from "./kept-lines.ts";
import { TraceWriter } from "./trace-writer.ts";

/** How many of the last lines are kept: some seconds of a busy host. */
const KEPT_LINES = 20_000;

type Listener = (event: TraceRecord) => void;

/** Listens to a world's steps and events. */
export class Recorder {
  readonly #header: TraceHeader;
  readonly #writer: TraceWriter | null;
  readonly #kept = new KeptLines(KEPT_LINES);
  readonly #listeners = new Set<Listener>();

  /** @param stopped told when the trace's file takes no more */
  constructor(header: TraceHeader, file: string | null, stopped: (why: string) => void) {
    this.#header = header;
    this.#writer = file === null ? null : new TraceWriter(file, header, stopped);
  }

  /** The trace's file; null where none is written. */
  get file(): string | null {
    return this.#writer?.file ?? null;
  }

  /** Hears everything a world does from here on. */
  attach(world: World): void {
    world.onStep = (step) => this.#keep({ step });
    world.sink = (event) => {
      this.#keep({ event });
      for (const listener of this.#listeners) listener(event);
    };
  }

  /** Calls for every event; what is returned ends that. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Calls for the events of one kind. */
  listenTo<K extends keyof TraceEvents & string>(
    kind: K,
    listener: (data: TraceEvents[K]) => void,
  ): () => void {
    return this.listen((event) => {
      if (event.kind === kind) listener(event.data as TraceEvents[K]);
    });
  }

  /** A step found that a program outside had written there: without it the trace could not be run again. */
  found(foreign: ForeignWrite): void {
    this.#writer?.write({ foreign });
  }

  flush(): void {
    this.#writer?.flush();
  }

  close(): void {
    this.#writer?.close();
  }

  /**
   * Sees to it that a file holds what led to a crash: the trace, where it is
   * whole, else the last lines in a file of their own. Returns its name, or null
   * where not even that could be written.
   */
  saveCrash(file: string): string | null {
    if (this.#writer?.complete === true) {
      this.#writer.close();
      return this.#writer.file;
    }
    let failed = false;
    try {
      const writer = new TraceWriter(file, this.#header, () => void (failed = true));
      for (const line of this.#kept.lines()) writer.write(line);
      writer.close();
    } catch {
      return null;
    }
    return failed ? null : file;
  }

  #keep(line: KeptLine): void {
    this.#writer?.write(line);
    this.#kept.add(line);
  }
}
