// SPDX-License-Identifier: Apache-2.0
//
// The programs of a recording's dom0, run on a live host. What the recordings
// have at the root of the file system is below a folder of the run's own.

import { execFileSync, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { addBlockDevice } from "../../src/core/drivers/dom0-devices.ts";
import { input } from "../../src/core/engine/input.ts";
import type { Directory } from "../../src/live/directory.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";

/** The recordings' own small programs: sources beside this file, and the libraries they need. */
const SOURCES: { readonly [program: string]: readonly [source: string, ...libraries: string[]] } = {
  mkdom: ["mkdom.c", "xenctrl"],
  holder: ["../conformance/holder.c", "xenforeignmemory", "xengnttab"],
};

/** Executes its words, with a library preloaded before others. */
const PRELOADED = 'LD_PRELOAD=$0:$LD_PRELOAD exec "$@"';

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

/** Runs them. */
export class Programs {
  readonly #where: Directory;
  readonly #root: string;
  readonly #running = new Set<ChildProcess>();

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
   * @param hurried its time passes much faster than that of others
   */
  start(line: string, hurried = false): ChildProcess {
    const [, name] = /^\/oracle\/(\w+)/.exec(line) ?? [];
    if (name !== undefined) this.#compile(name, SOURCES[name]!);
    const { dir, bridge, xenstored } = this.#where;
    const [program = "", ...rest] = this.moved(line).split(" ");
    const library = libxendev();
    const words: [string, ...string[]] = [program, ...rest];
    const command: [string, ...string[]] = hurried
      ? ["sh", "-c", PRELOADED, this.#hasten(), ...words]
      : words;
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

  #hasten(): string {
    return this.#compile("hasten.so", ["hasten.c"], "-shared", "-fPIC");
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
