// SPDX-License-Identifier: Apache-2.0
//
// The programs of a recording's dom0, run on a live host. What the recordings
// have at the root of the file system is below a folder of the run's own.

import { execFileSync, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { addBlockDevice } from "../../src/core/drivers/backend-devices.ts";
import { input } from "../../src/core/engine/input.ts";
import type { Directory } from "../../src/live/directory.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import { parseCalls } from "./parse/hypercalls.ts";
import type { Process } from "./recording.ts";

/** The recordings' own small programs: sources beside this file, and the libraries they need. */
const SOURCES: { readonly [program: string]: readonly [source: string, ...libraries: string[]] } = {
  mkdom: ["mkdom.c", "xenctrl"],
  holder: ["../conformance/holder.c", "xenforeignmemory", "xengnttab"],
};

/** Executes its words with libraries preloaded before others, its calls written down in a folder. */
const TRACED = 'export CALLS=$0 LD_PRELOAD=$1:$LD_PRELOAD; shift; exec "$@"';

/** Folders of the recordings' dom0 that are not those of the machine. */
const MOVED = /(?<![\w/])\/(tmp|guest|mnt|oracle|etc\/passwd|dev\/loop\d)(?![\w])/g;

/** dom0 has a block device. */
export const putBlockDevice = input(
  "golden: a block device",
  (host, { path, bytes }: { path: string; bytes: number }) => {
    addBlockDevice(host, numberOf(path), path, bytes / 512);
  },
);

/** `7:N` of `/dev/loopN`. */
function numberOf(path: string): string {
  return `7:${/\d+$/.exec(path)![0]}`;
}

/** Nothing where the process has ended, or is another's. */
function readProc(pid: string, file: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** R, S, D, …: what follows the command, which may have spaces in it. */
function stateOf(pid: string): string {
  return /^.*\) (\w)/s.exec(readProc(pid, "stat"))?.[1] ?? "";
}

/** Runs them. */
export class Programs {
  readonly #where: Directory;
  readonly #root: string;
  readonly #running = new Set<ChildProcess>();
  /** Whether a process is one of the host's, by its pid. */
  readonly #ours = new Map<string, boolean>();

  constructor(where: Directory, root: string) {
    this.#where = where;
    this.#root = root;
  }

  /** A text in which the recordings' paths are where they are here. */
  moved(text: string): string {
    return text.replaceAll(MOVED, (path) => this.#root + path);
  }

  /**
   * Starts a command; it may be one of the small programs, `/oracle/NAME`.
   *
   * @param how its calls written down; its time passing much faster, too; or neither
   */
  start(line: string, how: "traced" | "hurried" | "plain" = "plain"): ChildProcess {
    const [, name] = /^\/oracle\/(\w+)/.exec(line) ?? [];
    if (name !== undefined) this.#compile(name, SOURCES[name]!);
    const { dir, bridge, xenstored } = this.#where;
    const [program = "", ...rest] = this.moved(line).split(" ");
    const library = libxendev();
    const libraries = ["call-trace", ...(how === "hurried" ? ["hasten"] : [])];
    const preload = libraries.map((name) => this.#library(name)).join(":");
    const words: [string, ...string[]] = [program, ...rest];
    const command: typeof words =
      how === "plain" ? words : ["sh", "-c", TRACED, join(this.#root, "hc"), preload, ...words];
    const child = startOnHost({ dir, bridge, xenstored, library, command }, "pipe");
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    return child;
  }

  /** Makes a node for a block device, which libxl looks at; where it is. */
  makeBlockDevice(path: string): string {
    const file = this.moved(path);
    fs.mkdirSync(join(this.#root, "dev"), { recursive: true });
    execFileSync("mknod", [file, "b", ...numberOf(path).split(":")]);
    return file;
  }

  /** Ends what still runs. */
  endAll(): void {
    for (const child of this.#running) child.kill();
  }

  /** Whether every process on the host waits for something, or is held up. */
  resting(): boolean {
    const all = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return all.every((pid) => !this.#isOurs(pid) || /^[STZ]?$/.test(stateOf(pid)));
  }

  #isOurs(pid: string): boolean {
    let ours = this.#ours.get(pid);
    if (ours === undefined) {
      ours = readProc(pid, "environ").includes(`XENOLITH_DIR=${this.#where.dir}\0`);
      this.#ours.set(pid, ours);
    }
    return ours;
  }

  /** What they called, in the order in which they first did. */
  traced(): Process[] {
    const folder = join(this.#root, "hc");
    const behind = Number(process.hrtime.bigint()) / 1e6 - performance.now();
    const all = fs.readdirSync(folder).map((name) => {
      const text = fs.readFileSync(join(folder, name), "latin1").replaceAll(this.#root, "");
      const found = parseCalls(name, text);
      for (const call of found.calls) call.time -= behind;
      // Debian's xl is a script that finds the right one.
      return { ...found, commandLine: found.commandLine.replace(/^\S+\/xl(?= |$)/, "xl") };
    });
    return all.sort((a, b) => (a.calls[0]?.time ?? 0) - (b.calls[0]?.time ?? 0));
  }

  #library(name: string): string {
    return this.#compile(`${name}.so`, [`${name}.c`], "-shared", "-fPIC");
  }

  /** Returns the file. */
  #compile(name: string, [source, ...libraries]: readonly string[], ...flags: string[]): string {
    const file = join(this.#root, "oracle", name);
    if (fs.existsSync(file)) return file;
    fs.mkdirSync(join(this.#root, "oracle"), { recursive: true });
    const from = join(import.meta.dirname, source ?? "");
    execFileSync("gcc", [...flags, "-o", file, from, ...libraries.map((library) => `-l${library}`)]);
    return file;
  }
}
