// SPDX-License-Identifier: Apache-2.0
//
// One of Xen's own daemons in our own's place: an unmodified program of the
// machine's, started on the host and ended with it.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { Directory } from "./directory.ts";
import { libxendev } from "./native.ts";
import { Problem } from "./problem.ts";
import { startOnHost } from "./run.ts";

/** Which xenconsoleds of Xen's own there are: one, in C. */
export const xenconsoledKinds = ["c"] as const;
export type XenconsoledKind = (typeof xenconsoledKinds)[number];

/** Where distributions and Xen's own build put its daemons, beside Debian's /usr/lib/xen-VERSION/bin. */
const FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/xen/bin", "/usr/libexec/xen/bin"];
/** What of its last words is shown when it ends. */
const LAST_WORDS_CHARS = 2_000;
/** A daemon that does not end in this time is killed. */
const END_MS = 3_000;

/** The program, that of this Xen version (as "4.17") where there is one. Throws Problem where there is none. */
export function xenProgram(name: string, version: string): string {
  const debian = ["/usr/lib", "/usr/libexec"].map((folder) => `${folder}/xen-${version}/bin`);
  const candidates = [...debian, ...FOLDERS].map((folder) => path.join(folder, name));
  const found = candidates.find((file) => fs.existsSync(file));
  if (found !== undefined) return found;
  throw new Problem(
    `there is no ${name} on this machine (looked for ${candidates.join(", ")})`,
    `apt-get install xen-utils-${version}`,
  );
}

/** How a daemon is started. */
export interface DaemonOptions {
  /** The program and its words; it stays in the foreground. */
  command: readonly [string, ...string[]];
  where: Directory;
  /** Told that it has ended by itself, and how. */
  ended: (how: string) => void;
}

/** A running daemon. What it says is in the host's log-xen/NAME.log. */
export class XenDaemon {
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;
  readonly #log: fs.WriteStream;
  #lastWords = "";
  #stopping = false;

  constructor({ command, where, ended }: DaemonOptions) {
    const { dir, bridge, xenstored } = where;
    const [file] = command;
    // In a session of its own: Ctrl-C is for the host, which then ends it.
    this.#child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe", {
      detached: true,
    });
    fs.mkdirSync(path.join(dir, "log-xen"), { recursive: true, mode: 0o700 });
    this.#log = fs.createWriteStream(path.join(dir, "log-xen", `${path.basename(file)}.log`), {
      flags: "a",
      mode: 0o600,
    });
    this.#log.on("error", () => {});
    for (const output of [this.#child.stdout, this.#child.stderr])
      output?.on("data", (text: Buffer) => this.#said(text));
    this.#exit = new Promise((resolve) => {
      this.#child.on("error", (error) => void (this.#lastWords += error.message));
      this.#child.on("close", (code, signal) => {
        this.#log.end();
        resolve();
        const how = signal === null ? `exit code ${code}` : signal;
        const words = this.#lastWords.trim();
        if (!this.#stopping) ended(`${file} has ended (${how})${words === "" ? "" : `: ${words}`}`);
      });
    });
  }

  /** Its process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    await this.#exit;
    clearTimeout(late);
  }

  #said(text: Buffer): void {
    this.#log.write(text);
    this.#lastWords = (this.#lastWords + text.toString("utf8")).slice(-LAST_WORDS_CHARS);
  }
}
