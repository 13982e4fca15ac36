// SPDX-License-Identifier: Apache-2.0
//
// Files of whoever typed an xl command, on their way into the host and back.

import * as fs from "node:fs";
import * as path from "node:path";
import { configHint } from "./config-hint.ts";
import { namedFiles } from "./named-files.ts";
import { Problem, systemWords } from "./problem.ts";

/** A file as it is given to a host. `name` is as it was written on the command line or in a configuration. */
export type CallerFile =
  | { name: string; kind: "missing" | "directory" }
  /** `base64` is its contents, or of a big one their beginning; `size` is in bytes. */
  | { name: string; kind: "regular"; base64: string; size: number }
  /** `number` is `major:minor`, hexadecimal. */
  | { name: string; kind: "block"; number: string; size: number };

/** What a command takes along: what it reads, and names of what it will write. */
export interface Luggage {
  files: CallerFile[];
  writes: string[];
  /** More about a configuration that is none, for after xl has said so; "" for nothing. */
  hint: string;
}

/** Of what is only looked at (a kernel, a disk's image) this much goes along. */
const BEGINNING_BYTES = 1 << 20;

/** Inside the host a name is bytes, one a character; here it is text. */
function located(name: string, cwd: string): string {
  return path.resolve(cwd, Buffer.from(name, "latin1").toString("utf8"));
}

function missing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Of a pipe or a terminal no more than this is read: a configuration is shorter, and some devices never end. */
const STREAM_BYTES = 16 << 20;

/** At most that many bytes from the beginning. */
function beginning(file: string, count: number): Buffer {
  const fd = fs.openSync(file, "r");
  try {
    const bytes = Buffer.alloc(count);
    let got = 0;
    for (let more = 1; more > 0 && got < count; got += more)
      more = fs.readSync(fd, bytes, got, count - got, null);
    return bytes.subarray(0, got);
  } finally {
    fs.closeSync(fd);
  }
}

/** A block device's number, and its size as the kernel tells it to everybody. */
function blockDevice(name: string, rdev: number): CallerFile {
  const major = ((rdev >> 8) & 0xfff) | 0;
  const minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
  const sectors = Number(fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, "utf8"));
  return { name, kind: "block", number: `${major.toString(16)}:${minor.toString(16)}`, size: sectors * 512 };
}

/** A saved domain is needed whole; it begins with xl's own words. */
function isWhole(file: string): boolean {
  return beginning(file, 16).toString("latin1").startsWith("Xen saved domain");
}

/** Files where a command was typed. Each is read once: a pipe gives what it has only once. */
class CallersFolder {
  readonly #cwd: string;
  readonly #streams = new Map<string, Buffer>();

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  /** The whole file; null where it cannot be read. */
  read(name: string): Uint8Array | null {
    const file = located(name, this.#cwd);
    try {
      const stat = fs.statSync(file);
      return stat.isFile() ? fs.readFileSync(file) : stat.isDirectory() ? null : this.#stream(file);
    } catch {
      return null;
    }
  }

  /** The file as a host is given it. Throws Problem where it is there and cannot be read. */
  pack(name: string): CallerFile {
    const file = located(name, this.#cwd);
    try {
      const stat = fs.statSync(file);
      if (stat.isDirectory()) return { name, kind: "directory" };
      if (stat.isBlockDevice()) return blockDevice(name, stat.rdev);
      if (!stat.isFile()) return regular(name, this.#stream(file));
      const count = isWhole(file) ? stat.size : Math.min(stat.size, BEGINNING_BYTES);
      return regular(name, beginning(file, count), stat.size);
    } catch (error) {
      if (missing(error)) return { name, kind: "missing" };
      throw new Problem(`cannot read ${name}: ${systemWords(error)}`, null);
    }
  }

  #stream(file: string): Buffer {
    const known = this.#streams.get(file);
    if (known !== undefined) return known;
    const bytes = Buffer.from(beginning(file, STREAM_BYTES));
    this.#streams.set(file, bytes);
    return bytes;
  }
}

function regular(name: string, bytes: Buffer, size = bytes.length): CallerFile {
  return { name, kind: "regular", base64: bytes.toString("base64"), size };
}

/** One file, by its absolute name. Throws Problem where it is there and cannot be read. */
export function callerFile(name: string): CallerFile {
  return new CallersFolder("/").pack(name);
}

/**
 * Whether a file can be written is asked before a domain is saved into it: afterwards the domain is gone.
 * What stands there, for the host: the folder that it would be in, or a folder in its place. Throws Problem
 * where xl has no words for what is wrong.
 */
function placeToWrite(name: string, cwd: string): CallerFile {
  const file = located(name, cwd);
  const folder = path.dirname(name);
  const there = fs.existsSync(file);
  try {
    fs.closeSync(fs.openSync(file, "a", 0o600));
    if (!there) fs.rmSync(file);
    return { name: folder, kind: "directory" };
  } catch (error) {
    if (missing(error)) return { name: folder, kind: "missing" };
    if ((error as NodeJS.ErrnoException).code === "EISDIR") return { name, kind: "directory" };
    throw new Problem(`cannot write ${name}: ${systemWords(error)}`, null);
  }
}

/**
 * What an xl command line (words as latin1, a character a byte) names, read from where it was typed. Throws Problem
 * where a file is there and cannot be read, or could not be written.
 */
export function pack(argv: readonly string[], cwd: string): Luggage {
  const callers = new CallersFolder(cwd);
  const { reads, writes } = namedFiles(argv, (name) => callers.read(name));
  const places = writes.map((name) => placeToWrite(name, cwd));
  const hint = configHint(argv, (name) => callers.read(name));
  return { files: [...places, ...reads.map((name) => callers.pack(name))], writes, hint };
}

/** A file that a command has written, on its way back. `size` may be more than the bytes: the rest is a hole. */
export interface WrittenFile {
  name: string;
  base64: string;
  size: number;
}

/** Writes it where the command was typed. Throws the system's error, and then leaves no half of it. */
export function unpack({ name, base64, size }: WrittenFile, cwd: string): void {
  const file = located(name, cwd);
  const partial = `${file}.partial`;
  const special = fs.existsSync(file) && !fs.statSync(file).isFile();
  try {
    fs.writeFileSync(special ? file : partial, Buffer.from(base64, "base64"), { mode: 0o600 });
    if (special) return;
    fs.truncateSync(partial, size);
    fs.renameSync(partial, file);
  } catch (error) {
    if (!special) fs.rmSync(partial, { force: true });
    throw error;
  }
}
