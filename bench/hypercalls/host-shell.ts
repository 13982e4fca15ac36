// SPDX-License-Identifier: Apache-2.0
//
// A shell on a live host in this process, and what a script in it costs: the
// host, and the programs it runs.

import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Directory } from "../../src/live/directory.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";

/** Milliseconds of processor time of the host and of the programs, and how long it took. */
export interface Cost {
  readonly host: number;
  readonly programs: number;
  readonly wall: number;
}

/** Processor time of this process so far, which is the host, in milliseconds. */
export function hostTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds in what bash prints of times: "0m1.234s 0m0.056s". */
function milliseconds(text: string): number {
  const times = [...text.matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
    0,
  );
}

/** A bash on the host. */
export class HostShell {
  readonly #child: ChildProcess;
  /** Where what a script says goes. */
  readonly #said: string;
  #out = "";
  #heard: (() => void) | null = null;

  constructor({ dir, bridge, xenstored }: Directory) {
    this.#said = join(dir, "script.out");
    const command: [string, string] = ["bash", "--norc"];
    this.#child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
    const hear = (text: Buffer): void => {
      this.#out += text.toString();
      this.#heard?.();
    };
    this.#child.stdout?.on("data", hear);
    this.#child.on("close", () => this.#heard?.());
  }

  /** Runs a script. Throws with what it said where it fails. */
  async run(script: string): Promise<Cost> {
    await this.#say("true");
    const [before, since] = [hostTime(), performance.now()];
    const [first, last] = await this.#say(script);
    return { host: hostTime() - before, programs: last - first, wall: performance.now() - since };
  }

  /** Ends it. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.on("close", resolve));
    this.#child.stdin?.end();
    await closed;
  }

  /** Processor time of all its programs before and after a script. */
  async #say(script: string): Promise<[number, number]> {
    this.#out = "";
    this.#child.stdin?.write(`times; ( set -e; ${script}\n) >${this.#said} 2>&1; code=$?; times\n`);
    this.#child.stdin?.write(`[ $code = 0 ] || cat ${this.#said}; echo ended $code\n`);
    await new Promise<void>((resolve) => {
      this.#heard = () => {
        if (/^ended \d+$/m.test(this.#out) || this.#child.exitCode !== null) resolve();
      };
    });
    const lines = this.#out.trimEnd().split("\n");
    if (lines.at(-1) !== "ended 0") throw new Error(`${script}: ${this.#out}`);
    return [milliseconds(lines[1] ?? ""), milliseconds(lines[3] ?? "")];
  }
}
