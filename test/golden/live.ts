// SPDX-License-Identifier: Apache-2.0
//
// Does on a live host, with a real xenstored, what the driver of a recording did
// on real Xen, and records the same.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import type * as net from "node:net";
import { join } from "node:path";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import type { TraceRecord } from "../../src/core/engine/trace.ts";
import { domainById, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { getdomaininfo } from "../../src/core/hypervisor/dominfo.ts";
import { directory } from "../../src/live/directory.ts";
import { LiveHost } from "../../src/live/live-host.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import type { XenstoredKind } from "../../src/live/xenstored-process.ts";
import { Collector, textLines, type Output } from "./collect.ts";
import { FILES, putFile, setRover, startCommand, startPutNodes } from "./drive.ts";
import { Lines, listStore, storeTrace, traceXenstored, WATCHES, watchStore } from "./live-onlookers.ts";
import { parseSnapshot } from "./parse/snapshot.ts";
import { parseStoreTrace } from "./parse/store-trace.ts";
import { prehistoryOf } from "./prehistory.ts";
import type { NodeData } from "./programs.ts";
import type { Recording, Time } from "./recording.ts";
import { configText, type Step } from "./scenarios/steps.ts";

/** Nothing of a scenario takes longer. */
const PATIENCE_MS = 60_000;
/** Nothing happens any more when nothing has happened for that long. */
const QUIET_MS = 300;

/** Who acts on the host. */
export interface Players {
  xenstored: XenstoredKind;
  /** xl: ours, within the host, or the real one, a process outside. */
  xl: "builtin" | "real";
}

/** Collects in real time, so that what other programs wrote can be sorted in. */
class LiveCollector extends Collector {
  readonly #realXl: boolean;
  readonly #root: string;
  readonly #known = new Set<string>();
  #last: Time = 0;

  constructor(scenario: string, players: Players, root: string) {
    super(scenario);
    this.#realXl = players.xl === "real";
    this.#root = root;
  }

  override tick(): Time {
    this.#last = Math.max(this.#last + 0.001, performance.now());
    return this.#last;
  }

  /** Who calls may be a daemon known by its pid, or a process not heard of before; it waits for the result. */
  override take(record: TraceRecord): void {
    if (record.kind !== "hypercall") return super.take(record);
    const caller = record.data.caller.replace(/^d0\/o?xenstored\.\d+$/, "d0/xenstored");
    const [, process, pid] = /^d0\/(xl\.(\d+))$/.exec(caller) ?? [];
    if (this.#realXl && process !== undefined && !this.#known.has(process)) {
      this.#known.add(process);
      const data = { process, pid: Number(pid), argv: this.#argv(Number(pid)) };
      super.take({ ...record, kind: "process.exec", data });
    }
    super.take({ ...record, data: { ...record.data, caller } });
  }

  /** A process's words as they were typed: Debian's xl is a script that finds the right one. */
  #argv(pid: number): string[] {
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll(this.#root, "").split("\0");
    return ["xl", ...words.slice(1, -1)];
  }
}

/** A host with a real xenstored, and everybody who looks on. */
export class LiveRun {
  readonly host: LiveHost;
  /** What the host warned of. */
  readonly warnings: string[];
  readonly #players: Players;
  readonly #collector: LiveCollector;
  /** Stands for the recordings' root: their paths are below it. */
  readonly #root: string;
  readonly #trace = new Lines();
  readonly #watched = new Lines();
  readonly #consoles = new Map<number, string>();
  readonly #domids: number[] = [];
  readonly #clock = (): Time => this.#collector.tick();
  #watcher: ChildProcess | null = null;
  #pipe: net.Socket | null = null;
  #lastEvent: Time = 0;
  #started = 0;

  private constructor(host: LiveHost, scenario: string, players: Players, root: string, warnings: string[]) {
    this.host = host;
    this.warnings = warnings;
    this.#players = players;
    this.#root = root;
    this.#collector = new LiveCollector(scenario, players, root);
  }

  /** Brings a host up in an empty folder, with the recording's past, and lets the onlookers in. */
  static async start(recording: Recording, players: Players, root: string): Promise<LiveRun> {
    const warnings: string[] = [];
    const host = await LiveHost.start({
      where: directory(join(root, "host")),
      config: { files: FILES },
      xenstored: players.xenstored,
      trace: null,
      code: "test",
      warn: (text) => warnings.push(text),
      crashed: (problem) => warnings.push(`CRASHED ${problem.message}`),
    });
    const run = new LiveRun(host, recording.scenario, players, root, warnings);
    await run.#prepare(recording);
    return run;
  }

  /** Does the steps; what they left behind. */
  async run(steps: readonly Step[]): Promise<Recording> {
    for (const step of steps) await this.#do(step);
    await this.#quiet();
    await this.#snapshot("final");
    const recording = this.#collector.finish();
    recording.store = parseStoreTrace(this.#plain(storeTrace(this.#trace.all)));
    recording.watch = this.#watched.all.map(({ time, line }) => ({
      ...{ time, kind: "EVENT", path: line },
      token: WATCHES.get(line) ?? "w1",
    }));
    if (this.#players.xl === "real") recording.monitorLogs = this.#monitorLogs();
    return recording;
  }

  async stop(): Promise<void> {
    this.#watcher?.kill();
    await this.host.stop();
    this.#pipe?.destroy();
  }

  async #prepare(recording: Recording): Promise<void> {
    for (const folder of ["tmp", "guest"]) fs.mkdirSync(join(this.#root, folder));
    fs.writeFileSync(join(this.#root, "guest/vmlinuz"), tinyKernel());
    fs.writeFileSync(join(this.#root, "guest/initrd.gz"), "nothing that is ever unpacked");
    await this.#relive(recording);
    this.#listen();
    const socket = this.host.where.xenstored;
    if (this.#players.xenstored === "c") {
      this.#pipe = await traceXenstored(socket, join(this.#root, "trace"), this.#trace, this.#clock);
      await this.#quiet();
      this.#trace.all.length = 0;
    }
    this.#watcher = watchStore(socket, this.#watched, this.#clock);
    await this.#until("the watches", () => this.#watched.all.length >= WATCHES.size);
  }

  /** Makes the host one that has had the recording's earlier domains. */
  async #relive(recording: Recording): Promise<void> {
    const { driver, recorder, world } = this.host;
    const before = new LiveCollector("before", { ...this.#players, xl: "builtin" }, this.#root);
    const deaf = recorder.listen((record) => before.take(record));
    const past = prehistoryOf(recording);
    const ended = (): Promise<void> => {
      const name = before.lastStarted;
      return this.#until(`${name} has ended well`, () => before.outputs.get(name)?.status === 0);
    };
    if (past.hadDomains) {
      const text = configText({ type: "pv", listing: false }, "earlier", "mode=idle");
      driver.give(putFile, { path: "/tmp/earlier.cfg", text });
      for (const line of ["xl create -p /tmp/earlier.cfg", "xl destroy earlier"]) {
        driver.give(startCommand, { name: this.#name("xl"), line });
        await ended();
      }
      await this.#until("the past is over", () => [...forEachDomain(world)].length === 1);
    }
    const nodes = past.nodes.map(({ path, value, permissions }): NodeData => [path, value, permissions]);
    driver.give(startPutNodes, { name: this.#name("putnodes"), nodes });
    await ended();
    driver.give(setRover, { rover: past.nextDomid - 1 });
    deaf();
  }

  #listen(): void {
    const { recorder, world } = this.host;
    recorder.listen((record) => {
      this.#lastEvent = performance.now();
      this.#collector.take(record);
      if (record.kind !== "console") return;
      const { domid, text } = record.data;
      this.#consoles.set(domid, (this.#consoles.get(domid) ?? "") + text);
    });
    const recordStep = world.onStep;
    world.onStep = (step) => {
      recordStep?.(step);
      const guests = [...forEachDomain(world)].filter(({ domid }) => domid !== 0);
      this.#collector.sample(guests.map((domain) => getdomaininfo(world, world.now, domain)));
    };
  }

  async #do(step: Step): Promise<void> {
    switch (step.do) {
      case "config":
        return this.#config(step.name, step.text);
      case "command":
        return this.#command(this.#filled(step.line));
      case "note":
        return this.#note(this.#filled(step.text));
      case "domid":
        return void this.#domids.push(await this.#domidOf(step.name));
      case "up":
        return this.#waitUp(step.name);
      case "gone":
        return this.#waitGone(this.#domids[step.domain - 1] ?? -1);
      case "snapshot":
        this.#note(`snapshot ${step.name}`);
        await this.#quiet();
        return this.#snapshot(step.name);
      case "sleep":
        return new Promise((resolve) => setTimeout(resolve, step.seconds * 1000));
      default:
        throw new Error(`a live run does not know how to ${step.do}`);
    }
  }

  #filled(text: string): string {
    return text.replace(/\$(\d)/g, (_, nth: string) => String(this.#domids[Number(nth) - 1]));
  }

  #config(name: string, text: string): void {
    const path = `/tmp/${name}.cfg`;
    if (this.#players.xl === "builtin") return this.host.driver.give(putFile, { path, text });
    fs.writeFileSync(join(this.#root, path), text.replaceAll('"/guest/', `"${this.#root}/guest/`));
  }

  /** Runs a command to its end and notes what it said. */
  async #command(line: string): Promise<void> {
    const start = this.#collector.tick();
    const { stdout, stderr, status } = await this.#execute(line);
    const end = this.#collector.tick();
    this.#collector.recording.commands.push({
      ...{ kind: "command", start, end, line, exitCode: status ?? -1 },
      stdout: textLines(stdout),
      stderr: textLines(stderr),
    });
  }

  #execute(line: string): Promise<Output> {
    return this.#players.xl === "real" ? this.#executeOutside(line) : this.#executeInside(line);
  }

  async #executeInside(line: string): Promise<Output> {
    this.host.driver.give(startCommand, { name: this.#name("command"), line });
    const name = this.#collector.lastStarted;
    await this.#until(`${line} ends`, () => this.#collector.outputs.get(name)?.status !== null);
    return this.#collector.outputs.get(name)!;
  }

  async #executeOutside(line: string): Promise<Output> {
    const { dir, bridge, xenstored } = this.host.where;
    const [program = "", ...rest] = line.replaceAll(" /tmp/", ` ${this.#root}/tmp/`).split(" ");
    const library = libxendev();
    const child = startOnHost({ dir, bridge, xenstored, library, command: [program, ...rest] }, "pipe");
    const output: Output = { stdout: "", stderr: "", status: null };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream]?.on("data", (bytes: Buffer) => (output[stream] += this.#plain(bytes.toString("latin1"))));
    // Its background process keeps the pipes: that it ended is what counts.
    child.on("exit", (code) => (output.status = code ?? -1));
    await this.#until(`${line} ends`, () => output.status !== null);
    return output;
  }

  #monitorLogs(): Recording["monitorLogs"] {
    const folder = join(this.host.where.dir, "log-xen");
    const names = fs.readdirSync(folder).filter((name) => /^xl-.*\.log$/.test(name));
    return names.toSorted().map((name) => ({
      name,
      lines: textLines(this.#plain(fs.readFileSync(join(folder, name), "latin1"))),
    }));
  }

  /** A text in which the recordings' paths are as they were. */
  #plain(text: string): string {
    return text.replaceAll(this.#root, "");
  }

  #name(program: string): string {
    return `dom0/${program}.${1000 + ++this.#started}`;
  }

  #note(text: string): void {
    this.#collector.recording.commands.push({ kind: "note", start: this.#collector.tick(), text });
  }

  async #domidOf(name: string): Promise<number> {
    return Number((await this.#execute(`xl domid ${name}`)).stdout.trim() || -1);
  }

  async #waitUp(name: string): Promise<void> {
    const domid = this.#domids.at(-1) ?? -1;
    await this.#until(`guest ${name} up`, () => this.#consoles.get(domid)?.includes("GUEST: up") === true);
    this.#note(`guest ${name} up`);
  }

  async #waitGone(domid: number): Promise<void> {
    await this.#until(`dom ${domid} gone`, () => domainById(this.host.world, domid) === undefined);
    this.#note(`dom ${domid} gone from hypervisor`);
  }

  async #snapshot(name: string): Promise<void> {
    const text = await listStore(this.host.where.xenstored);
    this.#collector.recording.snapshots.push(parseSnapshot(name, this.#plain(text)));
  }

  /** Waits until nothing happens any more. */
  async #quiet(): Promise<void> {
    const since = performance.now();
    const last = (): Time => Math.max(since, this.#lastEvent, this.#trace.last, this.#watched.last);
    await this.#until("quiet", () => performance.now() > last() + QUIET_MS);
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`it did not happen: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
