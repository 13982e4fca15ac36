// SPDX-License-Identifier: Apache-2.0
//
// Contents of machine frames in sparse files that real processes map: a file for
// every 1024 frames (4 MiB), page n of it at n << 12. Frames nobody touched take
// no space, and what is given up is given back: a file none of whose frames is
// in use is removed. Node cannot punch holes in files; small files are the way.

import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { assert } from "../core/engine/errno.ts";
import type { Memory } from "../core/engine/host.ts";
import { OwnPages, emptyPage } from "./own-pages.ts";
import { Problem } from "./problem.ts";
import { processStat } from "./process-stat.ts";

const PAGE_BYTES = 4096;
/** Frames of one file. */
export const FILE_FRAMES = 1024;
/** Files kept open, of those used last. */
const OPEN_MAX = 128;
/** What mapping leaves free on the file system, for our own writes. */
const SPARE_BYTES = 16 << 20;

/** Looks at a frame after which it is taken for one that is looked at often. */
const LOOKS_TO_KEEP = 4;

/** A tmpfs on every Linux. */
const SHARED_MEMORY = "/dev/shm";

const ZEROS = new Uint8Array(PAGE_BYTES);

interface MemoryFile {
  readonly name: string;
  /** Open descriptor, or -1. */
  fd: number;
  /** Frames that were written or mapped since they were last discarded. */
  readonly touched: Uint8Array;
  /** Frames that were written, or may have been, since somebody asked. */
  readonly dirty: Uint8Array;
  touchedCount: number;
  /** Frames that take space or may come to: also what was discarded keeps its block. */
  readonly claimed: Uint8Array;
  claimedCount: number;
  /** How often a frame is mapped by processes. */
  readonly mapped: Uint32Array;
  /** How often a frame that no process maps was looked at, up to LOOKS_TO_KEEP. */
  readonly looks: Uint8Array;
}

/** Where a frame is: the file's number, as in its name, and the page in it. */
export interface FramePlace {
  readonly file: number;
  readonly page: number;
}

/** Consecutive frames. */
export interface FrameRun {
  readonly mfn: number;
  readonly pages: number;
}

/** The place of a frame. Consecutive frames of one file are consecutive pages. */
export function placeOf(mfn: number): FramePlace {
  return { file: Math.floor(mfn / FILE_FRAMES), page: mfn % FILE_FRAMES };
}

/** The name of a file of frames in its folder; libxendev makes the same. */
export function fileName(file: number): string {
  return file.toString(16).padStart(8, "0");
}

/**
 * The folder of a host's frames: in memory where the system has a file system
 * for that, else in its state directory. Always the same one for a directory, so
 * that what a killed host left is found and removed by the next; containers that
 * share `/dev/shm` may each have a directory of the same name.
 */
export function memoryFolder(dir: string): string {
  const { dev, ino } = fs.statSync(dir, { throwIfNoEntry: false }) ?? { dev: 0, ino: 0 };
  const name = createHash("sha256").update(`${dir}\0${dev}:${ino}`).digest("hex").slice(0, 12);
  try {
    fs.accessSync(SHARED_MEMORY, fs.constants.W_OK);
    return path.join(SHARED_MEMORY, `xenolith-${process.getuid?.() ?? 0}-${name}`);
  } catch {
    return path.join(dir, "memory");
  }
}

/** The file that says which process a folder of frames belongs to, beside the folder. */
function ownerFile(folder: string): string {
  return `${folder}.pid`;
}

/** The PID namespace this process is in: what a process's number counts for nothing outside of. */
function pidNamespace(): string {
  try {
    return fs.readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** What says which process this is: its number, when it started, the namespace that both are from. */
function owner(): string {
  return `${process.pid} ${processStat(process.pid)?.start ?? ""} ${pidNamespace()}\n`;
}

/** The PID namespace that all others are in, by the number Linux gives it (PROC_PID_INIT_INO). */
const INITIAL_NAMESPACE = "pid:[4026531836]";

/** Whether a process has that number in a namespace that is not ours, and may be that one. */
function isIn(namespace: string, pid: string, entry: string): boolean {
  try {
    const numbers = /^NSpid:\t(.*)$/m
      .exec(fs.readFileSync(`/proc/${entry}/status`, "latin1"))?.[1]
      ?.split("\t");
    if (numbers === undefined || numbers.length < 2 || numbers.at(-1) !== pid) return false;
  } catch {
    return false;
  }
  try {
    return fs.readlinkSync(`/proc/${entry}/ns/pid`) === namespace;
  } catch {
    // It may not be looked at, or it has ended meanwhile.
    return true;
  }
}

/**
 * Whether the process that a file tells of lives, or may. Who is in the first of all namespaces sees the processes
 * of every container; nobody else can ask about one of another's.
 */
export function mayBeAlive(file: string, here = pidNamespace()): boolean {
  const [pid = "", start, namespace = ""] = fs.readFileSync(file, "utf8").trimEnd().split(" ");
  if (start === "") return true;
  if (namespace === here) return processStat(Number(pid))?.start === start;
  return here !== INITIAL_NAMESPACE || fs.readdirSync("/proc").some((entry) => isIn(namespace, pid, entry));
}

/** Removes the folders of hosts that were killed, so that their memory is not lost until the machine restarts. */
function removeAbandoned(beside: string): void {
  const mine = /^xenolith-\d+-[0-9a-f]+\.pid$/;
  for (const name of fs.readdirSync(path.dirname(beside)).filter((entry) => mine.test(entry))) {
    const file = path.join(path.dirname(beside), name);
    try {
      if (mayBeAlive(file)) continue;
      fs.rmSync(file.slice(0, -".pid".length), { recursive: true, force: true });
      fs.rmSync(file);
    } catch {
      // Another user's, or removed by another host at the same moment.
    }
  }
}

/** Frame contents in files of a folder that is this host's alone. */
export class FileMemory implements Memory {
  readonly folder: string;
  readonly #files = new Map<number, MemoryFile>();
  /** Numbers of open files, the one used last at the end. */
  readonly #open = new Set<number>();
  readonly #own = new OwnPages((mfn, bytes) => this.#writeFile(placeOf(mfn), 0, bytes));
  /** Claimed frames of all files. */
  #claimed = 0;

  /** Makes the folder, or empties it: contents do not outlive their host. */
  constructor(folder: string) {
    this.folder = folder;
    removeAbandoned(folder);
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    fs.writeFileSync(ownerFile(folder), owner(), { mode: 0o600 });
  }

  read(mfn: number, offset: number, length: number): Uint8Array {
    assert(offset >= 0 && length >= 0 && offset + length <= PAGE_BYTES, "a read leaves its frame");
    const own = this.#own.read(mfn, offset, length);
    if (own !== undefined) return own;
    const { file, page } = placeOf(mfn);
    const found = this.#files.get(file);
    if (found === undefined || found.touched[page] === 0) return new Uint8Array(length);
    const isOften = found.mapped[page] === 0 && ++(found.looks[page] as number) >= LOOKS_TO_KEEP;
    if (!isOften) return this.#readFile(file, found, page * PAGE_BYTES + offset, new Uint8Array(length));
    found.looks[page] = 0;
    const whole = this.#readFile(file, found, page * PAGE_BYTES, emptyPage());
    this.#own.keep(mfn, whole);
    return whole.slice(offset, offset + length);
  }

  #readFile(file: number, found: MemoryFile, at: number, bytes: Uint8Array): Uint8Array {
    fs.readSync(this.#fd(file, found), bytes, 0, bytes.length, at);
    return bytes;
  }

  write(mfn: number, offset: number, bytes: Uint8Array): void {
    assert(offset >= 0 && offset + bytes.length <= PAGE_BYTES, "a write leaves its frame");
    const place = placeOf(mfn);
    this.#touch(place.file, place.page).dirty[place.page] = 1;
    if (!this.#own.write(mfn, offset, bytes)) this.#writeFile(place, offset, bytes);
  }

  #writeFile({ file, page }: FramePlace, offset: number, bytes: Uint8Array): void {
    const target = this.#file(file);
    try {
      fs.writeSync(this.#fd(file, target), bytes, 0, bytes.length, page * PAGE_BYTES + offset);
    } catch (error) {
      throw this.#full(error) ?? error;
    }
  }

  /** What no machine knows: memory that it has, and that is not there. */
  #full(error: unknown): Problem | null {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") return null;
    const where = path.dirname(this.folder);
    return new Problem(`there is no space left in ${where} for the memory of domains`, `df -h ${where}`);
  }

  /** Whether a frame was written, or made ready to be mapped, since it was last discarded. */
  isTouched(mfn: number): boolean {
    const { file, page } = placeOf(mfn);
    return this.#files.get(file)?.touched[page] === 1;
  }

  dirtied(mfn: number, clean: boolean): boolean {
    const { file, page } = placeOf(mfn);
    const found = this.#files.get(file);
    const dirty = found?.dirty[page] === 1;
    if (clean && found !== undefined) found.dirty[page] = 0;
    return dirty;
  }

  isZero(mfn: number): boolean {
    return !this.isTouched(mfn) || Buffer.compare(this.read(mfn, 0, PAGE_BYTES), ZEROS) === 0;
  }

  /** Files are not compared: what nobody reads may stay. */
  stale(): void {}

  discard(mfn: number, count: number): void {
    this.#own.forget(mfn, count);
    for (let at = mfn; at < mfn + count;) {
      const { file, page } = placeOf(at);
      const frames = Math.min(FILE_FRAMES - page, mfn + count - at);
      const found = this.#files.get(file);
      if (found !== undefined) this.#discardIn(file, found, page, frames);
      at += frames;
    }
  }

  /**
   * Makes frames ready to be mapped by a process: from here on they may hold
   * anything. False where the file system could run out of space under them,
   * which the process would learn by SIGBUS.
   */
  prepareToMap(runs: readonly FrameRun[], writable: boolean): boolean {
    let fresh = 0;
    for (const { file, page, frames } of this.#partsOf(runs)) {
      const claimed = this.#files.get(file)?.claimed;
      if (claimed === undefined) fresh += frames;
      else for (let at = page; at < page + frames; at++) if (claimed[at] === 0) fresh++;
    }
    if (fresh > 0 && !this.hasRoomFor(fresh)) return false;
    for (const { mfn, pages } of runs) this.#own.giveBack(mfn, pages);
    for (const { file, page, frames } of this.#partsOf(runs)) {
      const target = this.#file(file);
      for (let at = page; at < page + frames; at++) {
        (target.mapped[at] as number)++;
        if (fresh > 0 || writable) this.#claim(target, at);
      }
      if (writable) target.dirty.fill(1, page, page + frames);
    }
    return true;
  }

  /** A process no longer maps frames that were made ready for it. */
  unmapped(runs: readonly FrameRun[]): void {
    for (const { file, page, frames } of this.#partsOf(runs)) {
      const target = this.#files.get(file);
      if (target === undefined) continue;
      for (let at = page; at < page + frames; at++) (target.mapped[at] as number)--;
    }
  }

  /** Runs of frames, cut where files end. */
  *#partsOf(runs: readonly FrameRun[]): Generator<FramePlace & { frames: number }> {
    for (const { mfn, pages } of runs) {
      for (let done = 0; done < pages;) {
        const { file, page } = placeOf(mfn + done);
        const frames = Math.min(pages - done, FILE_FRAMES - page);
        yield { file, page, frames };
        done += frames;
      }
    }
  }

  /**
   * Whether the file system can hold that many frames more, those that processes
   * may write to and have not yet, and some for our own writes.
   */
  hasRoomFor(frames: number): boolean {
    const { bavail, bsize } = fs.statfsSync(this.folder);
    const spare = bavail * bsize - frames * PAGE_BYTES - SPARE_BYTES;
    // What is promised is looked up only where it could matter.
    return spare >= this.#claimed * PAGE_BYTES || (spare >= 0 && spare >= this.#promisedBytes());
  }

  /** Space that frames may come to take and do not yet. */
  #promisedBytes(): number {
    return this.#claimed * PAGE_BYTES - this.bytesUsed();
  }

  /** Bytes the files take up on their file system. */
  bytesUsed(): number {
    return [...this.#files.values()].reduce((sum, { name }) => sum + fs.statSync(name).blocks * 512, 0);
  }

  /** Gives everything back. */
  close(): void {
    for (const { fd } of this.#files.values()) if (fd >= 0) fs.closeSync(fd);
    this.#files.clear();
    this.#open.clear();
    this.#claimed = 0;
    fs.rmSync(this.folder, { recursive: true, force: true });
    fs.rmSync(ownerFile(this.folder), { force: true });
  }

  #touch(file: number, page: number): MemoryFile {
    const target = this.#file(file);
    this.#claim(target, page);
    return target;
  }

  #claim(target: MemoryFile, page: number): void {
    if (target.touched[page] === 1) return;
    target.touched[page] = 1;
    target.touchedCount++;
    if (target.claimed[page] === 1) return;
    target.claimed[page] = 1;
    target.claimedCount++;
    this.#claimed++;
  }

  #file(file: number): MemoryFile {
    let target = this.#files.get(file);
    if (target === undefined) {
      const name = path.join(this.folder, fileName(file));
      target = {
        name,
        fd: -1,
        touched: new Uint8Array(FILE_FRAMES),
        dirty: new Uint8Array(FILE_FRAMES),
        touchedCount: 0,
        claimed: new Uint8Array(FILE_FRAMES),
        claimedCount: 0,
        mapped: new Uint32Array(FILE_FRAMES),
        looks: new Uint8Array(FILE_FRAMES),
      };
      this.#files.set(file, target);
      fs.ftruncateSync(this.#fd(file, target), FILE_FRAMES * PAGE_BYTES);
    }
    return target;
  }

  #discardIn(file: number, found: MemoryFile, first: number, frames: number): void {
    const gone: number[] = [];
    for (let page = first; page < first + frames; page++) if (found.touched[page] === 1) gone.push(page);
    if (gone.length === found.touchedCount) return this.#remove(file, found);
    const fd = gone.length > 0 ? this.#fd(file, found) : -1;
    for (const page of gone) {
      fs.writeSync(fd, ZEROS, 0, PAGE_BYTES, page * PAGE_BYTES);
      found.touched[page] = 0;
    }
    found.touchedCount -= gone.length;
  }

  #remove(file: number, found: MemoryFile): void {
    if (found.fd >= 0) fs.closeSync(found.fd);
    this.#open.delete(file);
    this.#files.delete(file);
    this.#claimed -= found.claimedCount;
    fs.rmSync(found.name, { force: true });
  }

  #fd(file: number, target: MemoryFile): number {
    this.#open.delete(file);
    this.#open.add(file);
    if (target.fd >= 0) return target.fd;
    if (this.#open.size > OPEN_MAX) this.#closeOldest();
    target.fd = fs.openSync(target.name, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    return target.fd;
  }

  #closeOldest(): void {
    const [oldest] = this.#open;
    const file = oldest === undefined ? undefined : this.#files.get(oldest);
    if (oldest === undefined || file === undefined) return;
    this.#open.delete(oldest);
    if (file.fd >= 0) fs.closeSync(file.fd);
    file.fd = -1;
  }
}
