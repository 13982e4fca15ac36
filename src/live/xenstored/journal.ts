// SPDX-License-Identifier: Apache-2.0
//
// The journal of a xenstored on disk: every turn's changes are appended as one
// frame before anybody is told of them. When it has grown to a multiple of what
// the store is, a new one is begun beside it with a checkpoint, which is written
// in slices between turns while changes go to both; then it takes its place.

import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  write,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Checkpoint } from "../../core/xenstore/checkpoint.ts";
import type { JournalCells } from "../../core/xenstore/journal-cells.ts";
import { encodeFrame, FRAME, journalHeader } from "../../core/xenstore/journal-frame.ts";
import { replayJournal } from "../../core/xenstore/journal-replay.ts";
import { prepareStore, startStore, type Store, type StoreOptions } from "../../core/xenstore/store.ts";
import { isStreamProblem, type StreamRecord } from "../../core/xenstore/stream.ts";
import { StreamWriter } from "../../core/xenstore/stream-encode.ts";
import { dropLock, takeLock } from "./journal-lock.ts";

/**
 * When the disk is waited for: `always` before any answer; `interval` once a
 * second; `never` leaves it to the system. What is written outlives the process
 * either way; only `always` outlives the machine without a gap.
 */
export type FsyncPolicy = "always" | "interval" | "never";
export const FSYNC_POLICIES: readonly FsyncPolicy[] = ["always", "interval", "never"];

const INTERVAL_MS = 1000;
/** A slice of a checkpoint, in milliseconds, between two turns. */
const SLICE_MS = 2;
/** No journal is compacted below this size. */
const COMPACT_MIN = 4 * 1024 * 1024;
/** A journal is compacted when it is so many times what its checkpoint was. */
const COMPACT_FACTOR = 3;
/** Records of a whole checkpoint are cut into frames of about so many bytes. */
const FRAME_BYTES = 65_536;

/** Why a journal cannot be used. */
export class JournalError extends Error {
  readonly code: "JOURNAL_IN_USE" | "JOURNAL_DAMAGED" | "JOURNAL_UNREADABLE";
  /** Where it is damaged, in bytes. */
  readonly offset: number | null;

  constructor(code: JournalError["code"], message: string, offset: number | null = null) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

/** What a journal did and is, for metrics. */
export interface JournalStatistics {
  readonly bytes: number;
  frames: number;
  syncs: number;
  compactions: number;
  readonly compacting: boolean;
}

export interface JournalOptions {
  readonly file: string;
  readonly fsync: FsyncPolicy;
  /** Told what an operator should know. */
  readonly log: (level: "warn" | "info", text: string) => void;
  /** Told when the journal cannot be written: nothing can be acknowledged any more. */
  readonly failed: (error: Error) => void;
  /** Bytes below which it is not compacted; for tests. */
  readonly compactMin?: number;
}

/** A whole journal in an open file. */
export interface WrittenJournal {
  readonly fd: number;
  readonly size: number;
  /** The number of the next frame. */
  readonly next: number;
}

/** A new journal that is being written beside the one in force. */
interface Compaction {
  readonly checkpoint: Checkpoint;
  readonly fd: number;
  size: number;
  frames: number;
  /** The checkpoint is whole: what changes from here on is all told to it. */
  whole: boolean;
  /** It is on the disk: it may take over. */
  ready: boolean;
}

/** A journal that is open. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #cells: JournalCells;
  readonly #writer = new StreamWriter({ version: 2, layout: "document" });
  #fd: number;
  #size: number;
  #checkpointSize: number;
  #next: number;
  #compaction: Compaction | null = null;
  #sliceDue = false;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;
  /** The disk is being waited for. */
  #busy = false;
  /** Who came meanwhile. */
  #waiting: (() => void) | undefined;
  #closed = false;
  #paused = false;
  readonly #counts = { frames: 0, syncs: 0, compactions: 0 };

  private constructor(options: JournalOptions, cells: JournalCells, opened: WrittenJournal) {
    this.#options = options;
    this.#cells = cells;
    this.#fd = opened.fd;
    this.#size = opened.size;
    this.#checkpointSize = opened.size;
    this.#next = opened.next;
    if (options.fsync === "interval") this.#timer = setInterval(() => this.#syncNow(), INTERVAL_MS).unref();
  }

  /**
   * Puts into a store what its journal has, or starts one with a new journal.
   *
   * @throws JournalError, or the system's error
   */
  static open(options: JournalOptions, store: Store, cells: JournalCells, how: StoreOptions): Journal {
    const holder = takeLock(`${options.file}.lock`);
    if (holder !== null)
      throw new JournalError("JOURNAL_IN_USE", `process ${holder} writes this journal: ${options.file}`);
    try {
      rmSync(newName(options.file), { force: true });
      if (!existsSync(options.file)) {
        startStore(store, how);
        return Journal.create(options, cells);
      }
      prepareStore(store, how);
      const opened = reopen(options, store);
      cells.remember();
      return new Journal(options, cells, opened);
    } catch (error) {
      dropLock(`${options.file}.lock`);
      throw error;
    }
  }

  /** A new journal of a store as it is, in the place of any old one. */
  static create(options: JournalOptions, cells: JournalCells): Journal {
    return Journal.putInPlace(options, cells, Journal.write(options, cells));
  }

  /** Writes a new journal of a store as it is beside the one in force, whole. */
  static write(options: JournalOptions, cells: JournalCells): WrittenJournal {
    const fd = openSync(newName(options.file), "w", 0o600);
    const writer = new StreamWriter({ version: 2, layout: "document" });
    const checkpoint = new Checkpoint(cells);
    let size = append(fd, journalHeader(), 0);
    let next = 0;
    while (!checkpoint.done) {
      for (const record of checkpoint.next()) writer.write(record);
      if (writer.length < FRAME_BYTES && !checkpoint.done) continue;
      size += append(fd, encodeFrame(FRAME.CHECKPOINT, next++, writer.take()), size);
    }
    size += append(fd, encodeFrame(FRAME.CHECKPOINT_END, next++, new Uint8Array(0)), size);
    if (options.fsync !== "never") fdatasyncSync(fd);
    return { fd, size, next };
  }

  /** Puts it in force. Nothing has changed since it was written. */
  static putInPlace(options: JournalOptions, cells: JournalCells, written: WrittenJournal): Journal {
    const holder = takeLock(`${options.file}.lock`);
    if (holder !== null)
      throw new JournalError("JOURNAL_IN_USE", `process ${holder} writes this journal: ${options.file}`);
    renameSync(newName(options.file), options.file);
    if (options.fsync !== "never") syncFolder(options.file);
    cells.remember();
    return new Journal(options, cells, written);
  }

  get statistics(): JournalStatistics {
    return { ...this.#counts, bytes: this.#size, compacting: this.#compaction !== null };
  }

  /**
   * Makes what has changed since the last call outlast the process, and as the
   * policy says the machine.
   *
   * @param then called once it does, where it takes longer
   * @returns whether it already does: then `then` is not called
   */
  settle(then: () => void): boolean {
    if (this.#closed || !this.#cells.changed) return true;
    if (this.#busy) {
      this.#waiting = then;
      return false;
    }
    const { records, covered } = this.#cells.takeChanges();
    const frame = this.#frame(FRAME.CHANGES, this.#next++, records);
    this.#counts.frames++;
    const compaction = this.#compaction;
    if (compaction !== null) this.#appendNew(compaction, FRAME.CHANGES, compaction.whole ? records : covered);
    this.#considerCompaction();
    if (this.#options.fsync === "always") {
      this.#settleLater(frame, then);
      return false;
    }
    try {
      this.#size += append(this.#fd, frame, this.#size);
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
    this.#dirty = true;
    this.#slice();
    return true;
  }

  #settleLater(frame: Uint8Array, then: () => void): void {
    this.#busy = true;
    const done = (error: Error | null): void => this.#settled(error, then);
    this.#slice();
    if (this.#compaction?.ready === true) return this.#takeOver(done);
    const at = this.#size;
    this.#size += frame.length;
    writeAll(this.#fd, frame, at, (error) => (error === null ? fdatasync(this.#fd, done) : done(error)));
  }

  #settled(error: Error | null, then: (() => void) | undefined): void {
    if (error !== null) return this.#fail(error);
    if (this.#closed) return;
    this.#counts.syncs++;
    this.#busy = false;
    then?.();
    const next = this.#waiting;
    this.#waiting = undefined;
    if (next !== undefined && this.settle(next)) next();
  }

  #frame(kind: number, number: number, records: readonly StreamRecord[]): Uint8Array {
    for (const record of records) this.#writer.write(record);
    return encodeFrame(kind, number, this.#writer.take());
  }

  #appendNew(compaction: Compaction, kind: number, records: readonly StreamRecord[]): void {
    if (records.length === 0 && kind !== FRAME.CHECKPOINT_END) return;
    const frame = this.#frame(kind, compaction.frames++, records);
    try {
      compaction.size += append(compaction.fd, frame, compaction.size);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** To be called when no change is untold. */
  #considerCompaction(): void {
    const least = this.#options.compactMin ?? COMPACT_MIN;
    if (this.#paused) return;
    if (this.#compaction !== null || this.#size < Math.max(least, COMPACT_FACTOR * this.#checkpointSize))
      return;
    const checkpoint = new Checkpoint(this.#cells);
    const fd = openSync(newName(this.#options.file), "w", 0o600);
    const size = append(fd, journalHeader(), 0);
    this.#compaction = { checkpoint, fd, size, frames: 0, whole: false, ready: false };
    this.#cells.checkpoint = checkpoint;
    this.#appendNew(this.#compaction, FRAME.CHECKPOINT, checkpoint.next());
  }

  /** Goes on with a checkpoint for a moment, when no change is untold. */
  #slice(): void {
    const compaction = this.#compaction;
    if (compaction === null || compaction.checkpoint.done) return;
    if (!this.#cells.changed) {
      const records: StreamRecord[] = [];
      const late = performance.now() + SLICE_MS;
      while (!compaction.checkpoint.done && performance.now() < late)
        records.push(...compaction.checkpoint.next());
      this.#appendNew(compaction, FRAME.CHECKPOINT, records);
    }
    if (compaction.checkpoint.done) return this.#checkpointDone(compaction);
    if (this.#sliceDue) return;
    this.#sliceDue = true;
    setImmediate(() => {
      this.#sliceDue = false;
      if (!this.#closed) this.#slice();
    });
  }

  #checkpointDone(compaction: Compaction): void {
    this.#cells.checkpoint = null;
    this.#appendNew(compaction, FRAME.CHECKPOINT_END, []);
    compaction.whole = true;
    if (this.#options.fsync === "never") return this.#replace(compaction);
    fdatasync(compaction.fd, (error) => {
      if (this.#closed) return;
      if (error !== null) return this.#fail(error);
      if (this.#options.fsync === "interval") return this.#replace(compaction);
      compaction.ready = true;
      if (!this.#busy && !this.#cells.changed) this.#takeOver((failure) => this.#settled(failure, undefined));
    });
  }

  /** The new journal has all the old one has: it is put on the disk, and in its place. */
  #takeOver(done: (error: Error | null) => void): void {
    const compaction = this.#compaction as Compaction;
    this.#busy = true;
    fdatasync(compaction.fd, (error) => {
      if (error !== null) return done(error);
      try {
        this.#replace(compaction);
        syncFolder(this.#options.file);
      } catch (failure) {
        return done(failure as Error);
      }
      done(null);
    });
  }

  #replace(compaction: Compaction): void {
    try {
      renameSync(newName(this.#options.file), this.#options.file);
    } catch (error) {
      return this.#fail(error as Error);
    }
    closeSync(this.#fd);
    this.#fd = compaction.fd;
    this.#size = compaction.size;
    this.#checkpointSize = compaction.size;
    this.#next = compaction.frames;
    this.#compaction = null;
    this.#counts.compactions++;
  }

  #syncNow(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#counts.syncs++;
    fdatasync(this.#fd, (error) => {
      if (error !== null && !this.#closed) this.#fail(error);
    });
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#options.failed(error);
  }

  /** All changes are on the disk, and until `resume` no new journal is begun: another process may begin its own. */
  async pause(): Promise<void> {
    this.#paused = true;
    while (this.#busy) await new Promise((resolve) => setImmediate(resolve));
    if (this.#closed) return;
    this.settleAtOnce();
    if (this.#compaction === null) return;
    this.#cells.checkpoint = null;
    closeSync(this.#compaction.fd);
    rmSync(newName(this.#options.file), { force: true });
    this.#compaction = null;
  }

  resume(): void {
    this.#paused = false;
  }

  /** Writes what is not written yet, and is done. */
  close(): void {
    if (this.#closed) return;
    this.settleAtOnce();
    this.#closed = true;
    clearInterval(this.#timer);
    if (this.#compaction !== null) {
      closeSync(this.#compaction.fd);
      rmSync(newName(this.#options.file), { force: true });
    }
    closeSync(this.#fd);
    dropLock(`${this.#options.file}.lock`);
  }

  /** Makes all changes last before it returns. */
  settleAtOnce(): void {
    if (this.#cells.changed) {
      const { records } = this.#cells.takeChanges();
      this.#size += append(this.#fd, this.#frame(FRAME.CHANGES, this.#next++, records), this.#size);
    }
    if (this.#options.fsync !== "never") fdatasyncSync(this.#fd);
  }
}

function newName(file: string): string {
  return `${file}.new`;
}

/** Opens a journal that is there, after its store is loaded from it. */
function reopen(options: JournalOptions, store: Store): WrittenJournal {
  const { file, log } = options;
  const fd = openSync(file, "r+");
  try {
    if (!fstatSync(fd).isFile()) throw new JournalError("JOURNAL_UNREADABLE", `not a file: ${file}`);
    const bytes = readFileSync(fd);
    const replayed = replayJournal(store, bytes);
    if (isStreamProblem(replayed)) {
      const { problem, offset } = replayed;
      // Nothing of it can be told, and it may be anybody's file: not one to be cut.
      if (offset === 0) throw new JournalError("JOURNAL_UNREADABLE", `${file} cannot be read: ${problem}`);
      throw new JournalError("JOURNAL_DAMAGED", `${file} is damaged at byte ${offset}: ${problem}`, offset);
    }
    const { next, length, cut, frames } = replayed;
    if (cut > 0) {
      ftruncateSync(fd, length);
      log("warn", `${file}: the last ${cut} bytes, from ${length} on, are no whole frame and were cut off`);
    }
    log("info", `${file}: ${frames} frames, ${length} bytes`);
    return { fd, size: length, next };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Writes all of `bytes` at an offset; returns how many. */
function append(fd: number, bytes: Uint8Array, at: number): number {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
  return bytes.length;
}

function writeAll(fd: number, bytes: Uint8Array, at: number, done: (error: Error | null) => void): void {
  write(fd, bytes, 0, bytes.length, at, (error, count) => {
    if (error !== null) done(error);
    else if (count === bytes.length) done(null);
    else writeAll(fd, bytes.subarray(count), at + count, done);
  });
}

/** A new name in a folder outlasts the machine only once the folder is written. */
function syncFolder(file: string): void {
  const fd = openSync(dirname(file), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
