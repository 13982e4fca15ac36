// SPDX-License-Identifier: Apache-2.0
//
// A real xenstored in our own's place: an unmodified daemon that reaches the
// host as on Xen, by /proc/xen/xsd_*, event channels and grants, and serves the
// host's socket.

import * as fs from "node:fs";
import * as path from "node:path";
import type { Directory } from "./directory.ts";
import { Problem } from "./problem.ts";
import { isolation } from "./run.ts";
import { XenDaemon, xenProgram } from "./xen-daemon.ts";

/** Which of Xen's own xenstoreds: the one in C, or the one in OCaml. */
export const xenstoredKinds = ["c", "ocaml"] as const;
export type XenstoredKind = (typeof xenstoredKinds)[number];

const PROGRAMS = { c: "xenstored", ocaml: "oxenstored" } as const;

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
  readonly #daemon: XenDaemon;
  /** What is /run/xenstored to it. */
  readonly #run: string;

  /** Starts it. Throws Problem where it is not there or cannot be given its paths. */
  constructor({ kind, version, where, ended }: XenstoredOptions) {
    this.kind = kind;
    const file = xenProgram(PROGRAMS[kind], version);
    // The C daemon's folder can be named in its environment; the other's is built in.
    if (kind !== "c" && isolation() === "environment") {
      throw new Problem(
        `${PROGRAMS[kind]} needs a private /run, which this system does not allow`,
        "xenolith up --xenstored c",
      );
    }
    this.#run = path.dirname(where.xenstored);
    this.#daemon = new XenDaemon({ command: [file, "--no-fork"], where, ended });
  }

  /** Its process. */
  get pid(): number | undefined {
    return this.#daemon.pid;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.#daemon.stop();
    // oxenstored writes down what it knew; nobody will ask.
    fs.rmSync(path.join(this.#run, "db"), { force: true });
  }
}
