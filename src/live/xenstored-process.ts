// SPDX-License-Identifier: Apache-2.0
//
// A real xenstored in our own's place: an unmodified daemon that reaches the
// host as on Xen, by /proc/xen/xsd_*, event channels and grants, and serves the
// host's socket.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { Directory } from "./directory.ts";
import { libxendev } from "./native.ts";
import { Problem } from "./problem.ts";
import { isolation, startOnHost } from "./run.ts";

/** Which of Xen's own xenstoreds: the one in C, or the one in OCaml. */
export const xenstoredKinds = ["c", "ocaml"] as const;
export type XenstoredKind = (typeof xenstoredKinds)[number];

const PROGRAMS = { c: "xenstored", ocaml: "oxenstored" } as const;
/** Where distributions and Xen's own build put its daemons, beside Debian's /usr/lib/xen-VERSION/bin. */
const FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/xen/bin", "/usr/libexec/xen/bin"];
/** What of its last words is shown when it ends. */
const LAST_WORDS_CHARS = 2_000;
/** A daemon that does not end in this time is killed. */
const END_MS = 3_000;

/** The program, that of this Xen version where there is one. Throws Problem where there is none. */
function program(kind: XenstoredKind, version: string): string {
  const debian = ["/usr/lib", "/usr/libexec"].map((folder) => `${folder}/xen-${version}/bin`);
  const candidates = [...debian, ...FOLDERS].map((folder) => path.join(folder, PROGRAMS[kind]));
  const found = candidates.find((file) => fs.existsSync(file));
  if (found !== undefined) return found;
  throw new Problem(
    `there is no ${PROGRAMS[kind]} on this machine (looked for ${candidates.join(", ")})`,
    `apt-get install xen-utils-${version}`,
  );
}

/** How a daemon is started. */
export interface XenstoredOptions {
  kind: XenstoredKind;
  /** Whose daemon it is to be, as "4.17". */
  version: string;
  where: Directory;
  /** Told that it has ended by itself, and how. */
  ended: (how: string) => void;
}

/** A running xenstored. */
export class XenstoredProcess {
  readonly kind: XenstoredKind;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;
  readonly #log: fs.WriteStream;
  /** What is /run/xenstored to it. */
  readonly #run: string;
  #lastWords = "";
  #stopping = false;

  /** Starts it. Throws Problem where it is not there or cannot be given its paths. */
  constructor({ kind, version, where, ended }: XenstoredOptions) {
    this.kind = kind;
    const file = program(kind, version);
    // The C daemon's folder can be named in its environment; the other's is built in.
    if (kind !== "c" && isolation() === "environment") {
      throw new Problem(
        `${PROGRAMS[kind]} needs a private /run, which this system does not allow`,
        "xenolith up --xenstored c",
      );
    }
    const { dir, bridge, xenstored } = where;
    this.#run = path.dirname(xenstored);
    const command: [string, ...string[]] = [file, "--no-fork"];
    // In a session of its own: Ctrl-C is for the host, which then ends it.
    this.#child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe", {
      detached: true,
    });
    fs.mkdirSync(path.join(dir, "log-xen"), { recursive: true, mode: 0o700 });
    this.#log = fs.createWriteStream(path.join(dir, "log-xen", `${PROGRAMS[kind]}.log`), {
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
    // oxenstored writes down what it knew; nobody will ask.
    fs.rmSync(path.join(this.#run, "db"), { force: true });
  }

  #said(text: Buffer): void {
    this.#log.write(text);
    this.#lastWords = (this.#lastWords + text.toString("utf8")).slice(-LAST_WORDS_CHARS);
  }
}
