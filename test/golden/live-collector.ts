// SPDX-License-Identifier: Apache-2.0
//
// Collects what happens on a live host, some of it done by processes outside.

import * as fs from "node:fs";
import type { TraceRecord } from "../../src/core/engine/trace.ts";
import type { XenstoredKind } from "../../src/live/xenstored-process.ts";
import { Collector } from "./collect.ts";
import type { Time } from "./recording.ts";

/** Who acts on the host. */
export interface Players {
  /** Which serves the store: ours, within the host, or one of Xen's own, a process outside. */
  xenstored: "builtin" | XenstoredKind;
  /** xl: ours, within the host, or the real one, a process outside. */
  xl: "builtin" | "real";
}

/** Processes outside that the recordings' tracer knew, as a hypercall's caller: xl, its helper, the driver's own. */
const TRACED = /^d0\/((?:xl|libxl-save-help|mkdom)\.(\d+))$/;

/** Collects in real time, so that what other programs wrote can be sorted in. */
export class LiveCollector extends Collector {
  readonly #players: Players;
  readonly #root: string;
  readonly #known = new Set<string>();
  #last: Time = 0;

  constructor(scenario: string, players: Players, root: string) {
    super(scenario);
    this.#players = players;
    this.#root = root;
  }

  override tick(): Time {
    this.#last = Math.max(this.#last + 0.001, performance.now());
    return this.#last;
  }

  /** Who calls may be a daemon known by its pid, or a process not heard of before; it waits for the result. */
  override take(record: TraceRecord): void {
    if (record.kind !== "hypercall") return super.take(record);
    const caller = record.data.caller.replace(/^d0\/(o?xenstored|xenconsoled)\.\d+$/, "d0/$1");
    const [, process, pid] = TRACED.exec(caller) ?? [];
    if (this.#players.xl === "real" && process !== undefined) this.#heardOf(record, process, Number(pid));
    super.take({ ...record, data: { ...record.data, caller: caller.replace("oxenstored", "xenstored") } });
  }

  #heardOf(record: TraceRecord, process: string, pid: number): void {
    if (this.#known.has(process)) return;
    this.#known.add(process);
    super.take({ ...record, kind: "process.exec", data: { process, pid, argv: this.#argv(pid) } });
  }

  /** A process's words as they were typed: Debian's xl is a script that finds the right one. */
  #argv(pid: number): string[] {
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll(this.#root, "").split("\0");
    const [program = "", ...rest] = words.slice(0, -1);
    return [program.endsWith("/xl") ? "xl" : program, ...rest];
  }
}
