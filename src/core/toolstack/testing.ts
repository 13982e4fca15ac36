// SPDX-License-Identifier: Apache-2.0
//
// A host for tests of the toolstack: the whole host, and a hand that types xl
// commands and reads what came of them.

import { cellTypes } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { fifo, run } from "../engine/scheduler.ts";
import type { Scheduler } from "../engine/scheduler.ts";
import type { TraceRecord } from "../engine/trace.ts";
import { World } from "../engine/world.ts";
import { writeFileText } from "../daemons/files.ts";
import { hasExited, reap } from "../daemons/process.ts";
import { bootHost, hostIsUp } from "../host.ts";
import type { HostConfig } from "../host.ts";
import { domainById } from "../hypervisor/domain.ts";
import { nodeType } from "../xenstore/tree.ts";
import { spawnXl } from "./xl.ts";

const STEPS_MAX = 2_000_000;

/** A configuration of a small PV guest whose behaviour `extra` chooses. */
export function guestConfig(name: string, extra = "mode=idle", ...lines: readonly string[]): string {
  return [`name = "${name}"`, 'type = "pv"', "memory = 32", `extra = "${extra}"`, ...lines, ""].join("\n");
}

/** What a command left behind. */
export interface CommandResult {
  process: string;
  status: number;
  stdout: string;
  stderr: string;
}

/** A host that came up, and what happened in it. */
export class XlHost {
  readonly world: World;
  readonly records: TraceRecord[] = [];
  readonly #scheduler: Scheduler;

  constructor(config: Partial<HostConfig> = {}, scheduler: Scheduler = fifo, seed = 1) {
    this.world = new World({ seed });
    this.#scheduler = scheduler;
    this.world.sink = (record) => void this.records.push(record);
    this.world.boot((host) => bootHost(host, config));
    this.until(hostIsUp, "dom0 is up");
  }

  /** Does something to the host, as one step from outside. */
  act<R>(what: (host: Host) => R): R {
    let result: R | undefined;
    this.world.boot((host) => {
      result = what(host);
    });
    return result as R;
  }

  /** Runs until a condition holds; an assertion where it never does. */
  until(condition: (world: World) => boolean, what: string): void {
    run(this.world, this.#scheduler, { until: condition, stepsMax: STEPS_MAX });
    assert(condition(this.world), `never: ${what}`);
  }

  /** Runs for so many seconds of the host's clock. */
  pass(seconds: number): void {
    const end = this.world.now + seconds * 1_000_000;
    run(this.world, (world) => {
      if (world.runnable.length > 0) return this.#scheduler(world);
      const timer = world.nextTimer();
      return timer === undefined || timer.deadline > end ? null : { timer: timer.thread };
    });
    this.world.perform({ clock: end });
  }

  /** Writes a file of dom0. */
  write(path: string, text: string): void {
    this.act((host) => writeFileText(host, path, text));
  }

  /** Starts a command; its process. */
  start(line: string): string {
    return this.act((host) => spawnXl(host, line.split(/\s+/).slice(1), { awaited: true }));
  }

  /** Waits for a command that was started. */
  finish(process: string): CommandResult {
    this.until((world) => hasExited(world, process), `${process} exits`);
    const status = this.act((host) => reap(host, process));
    return {
      process,
      status,
      stdout: this.output(process, "stdout"),
      stderr: this.output(process, "stderr"),
    };
  }

  /** Types a command, `xl list`, and waits for its end. */
  xl(line: string): CommandResult {
    return this.finish(this.start(line));
  }

  /** Writes a configuration and creates a domain from it, which must work. */
  create(name: string, extra?: string, ...lines: readonly string[]): CommandResult {
    this.write(`/tmp/${name}.cfg`, guestConfig(name, extra, ...lines));
    const result = this.xl(`xl create /tmp/${name}.cfg`);
    assert(result.status === 0, `xl create ${name}: ${result.stderr}`);
    return result;
  }

  /** What a process printed. */
  output(process: string, stream: "stdout" | "stderr"): string {
    return this.records
      .flatMap(({ kind, data }) => (kind === stream && data.process === process ? [data.text] : []))
      .join("");
  }

  /** What was written to a log file. */
  log(file: string): string {
    return this.records
      .flatMap(({ kind, data }) => (kind === "log" && data.file === file ? [data.text] : []))
      .join("");
  }

  /** Xenstore traffic of a process's connection, as docs/internals/recorded-sequences writes it. */
  requests(process: string): string[] {
    const lines: string[] = [];
    for (const { kind, data } of this.records) {
      if (kind !== "xenstore" || data.who !== `${process}/xs`) continue;
      const [first = "", ...rest] = data.body.split("\0");
      if (data.dir === "in") {
        const value =
          data.op === "WRITE"
            ? ` = "${rest.join("\0")}"`
            : ` ${rest.filter((word) => word !== "").join(data.op === "SET_PERMS" ? "," : " ")}`;
        lines.push(`${data.op} ${first}${value}`.trimEnd());
      } else if (data.op === "WATCH_EVENT") lines.push(`⇐ ${first} ${rest[0]}`);
      else if (data.dir === "out") {
        const asked = (lines.findLast((line) => !line.startsWith("⇐")) ?? "").split(" ")[0] as string;
        const shown =
          data.op === "ERROR"
            ? `  → ${first}`
            : asked === "DIRECTORY"
              ? `  → [${data.body
                  .split("\0")
                  .filter((name) => name !== "")
                  .join(" ")}]`
              : asked === "READ"
                ? `  → "${data.body}"`
                : asked === "GET_DOMAIN_PATH"
                  ? `  → ${first}`
                  : "";
        const at = lines.findLastIndex((line) => !line.startsWith("⇐"));
        lines[at] += shown;
      }
    }
    return lines;
  }

  /** Hypercalls of a process, a line each. */
  hypercalls(process: string): string[] {
    const caller = process.slice(process.indexOf("/") + 1);
    return this.records.flatMap(({ kind, data }) =>
      kind === "hypercall" && data.caller.endsWith(caller)
        ? [`${data.op} dom=${data.dom} = ${data.result}`]
        : [],
    );
  }

  /** How many cells of each type there are: what a test compares to find what was left behind. */
  footprint(): Map<string, number> {
    return new Map(cellTypes().map((type) => [type.name, this.world.count(type)]));
  }

  /** A node's value, or undefined where there is none. */
  node(path: string): string | undefined {
    return this.world.get(nodeType, path)?.value;
  }

  /** Whether there is such a domain, dead ones included. */
  exists(domid: number): boolean {
    return domainById(this.world, domid) !== undefined;
  }
}
