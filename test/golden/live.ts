// SPDX-License-Identifier: Apache-2.0
//
// Does on a live host what the driver of a recording did on real Xen, and records
// the same.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import type * as net from "node:net";
import { join } from "node:path";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { domainById, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { getdomaininfo } from "../../src/core/hypervisor/dominfo.ts";
import { directory } from "../../src/live/directory.ts";
import { inject } from "../../src/live/dom0.ts";
import { LiveHost } from "../../src/live/live-host.ts";
import { verbsOf } from "../../src/live/verbs.ts";
import { Told, waitUntil } from "../live-told.ts";
import { textLines, type Output } from "./collect.ts";
import { FILES, putBridge, putFile, setRover, startCommand, startPutNodes } from "./drive.ts";
import { holdBoots, holdEnds, letBoot, letEnd } from "./guest-clock.ts";
import { frameToHold } from "./hold.ts";
import { LiveCollector, type Players } from "./live-collector.ts";
import { Lines, listStore, namedWatches, traceXenstored, WATCHES, watchStore } from "./live-onlookers.ts";
import { Programs, putBlockDevice } from "./live-programs.ts";
import { parseSnapshot } from "./parse/snapshot.ts";
import { parseStoreTrace } from "./parse/store-trace.ts";
import { prehistoryOf } from "./prehistory.ts";
import type { NodeData } from "./programs.ts";
import type { Recording, StoreLine, Time } from "./recording.ts";
import { configText, type Step } from "./scenarios/steps.ts";

/** The recordings' kernel by what it asks of its builder, and their initrd. */
const LINUX = { physicalBase: 0x100_0000, pages: 11_776, likeLinux: true };
const INITRD_PAGES = 531;
/** Nothing of a scenario takes longer. */
const PATIENCE_MS = 60_000;
/** Nothing happens any more when nothing has happened for that long. */
const QUIET_MS = 200;
/** How often is looked whether what is waited for has happened. */
const LOOK_MS = 5;
/** A guest's first line of its own. */
const UP = /GUEST: up [^\n]*\n/;
/** Between two commands, at least: no process of the recordings started faster. */
const BETWEEN_MS = 20;

/** A host, and everybody who looks on. */
export class LiveRun {
  readonly host: LiveHost;
  /** What the host warned of. */
  readonly warnings: readonly string[];
  readonly #told: Told;
  readonly #players: Players;
  readonly #collector: LiveCollector;
  /** Stands for the recordings' root: their paths are below it. */
  readonly #root: string;
  readonly #programs: Programs;
  readonly #trace = new Lines();
  readonly #watched = new Lines();
  readonly #consoles = new Map<number, string>();
  readonly #domids: number[] = [];
  readonly #clock = (): Time => this.#collector.tick();
  #watcher: ChildProcess | null = null;
  #pipe: net.Socket | null = null;
  #lastEvent: Time = 0;
  #started = 0;
  /** The scenario waits for a guest's end. */
  #mayEnd = false;
  /** The process that does not get on. */
  #stalled = 0;
  #holder: ChildProcess | null = null;

  private constructor(host: LiveHost, scenario: string, players: Players, root: string, told: Told) {
    this.host = host;
    this.#told = told;
    this.warnings = told.warnings;
    this.#players = players;
    this.#root = root;
    this.#programs = new Programs(host.where, root);
    this.#collector = new LiveCollector(scenario);
  }

  /** Brings a host up in an empty folder, with the recording's past, and lets the onlookers in. */
  static async start(recording: Recording, players: Players, root: string): Promise<LiveRun> {
    const told = new Told();
    const host = await LiveHost.start({
      where: directory(join(root, "host")),
      config: { files: FILES },
      ...(players.xenstored === "builtin" ? {} : { xenstored: players.xenstored }),
      trace: null,
      code: "test",
      ...told.options,
    });
    told.listen(host);
    await host.serve(verbsOf(host, () => host.stop()));
    const run = new LiveRun(host, recording.scenario, players, root, told);
    try {
      await run.#prepare(recording);
    } catch (error) {
      await run.stop();
      throw error;
    }
    return run;
  }

  /** Does the steps; what they left behind. */
  async run(steps: readonly Step[]): Promise<Recording> {
    for (const step of steps) await this.#do(step);
    await this.#quiet();
    await this.#snapshot("final");
    const recording = this.#collector.finish();
    if (this.#players.xenstored !== "builtin")
      recording.store = parseStoreTrace(this.#plain(this.#trace.stamped()));
    else recording.store = recording.store.map((line) => this.#plainLine(line));
    recording.store = namedWatches(recording.store);
    recording.watch = this.#watched.all.map(({ time, line }) => ({
      ...{ time, kind: "EVENT", path: line },
      token: WATCHES.get(line) ?? "w1",
    }));
    if (this.#players.xl === "real") {
      recording.monitorLogs = this.#monitorLogs();
      recording.processes.unshift(...this.#programs.traced());
    }
    return recording;
  }

  async stop(): Promise<void> {
    this.#watcher?.kill();
    this.#programs.endAll();
    await this.host.stop();
    this.#pipe?.destroy();
  }

  async #prepare(recording: Recording): Promise<void> {
    for (const folder of ["tmp", "guest", "mnt", "etc", "hc"]) fs.mkdirSync(join(this.#root, folder));
    fs.writeFileSync(join(this.#root, "etc/passwd"), FILES["/etc/passwd"]);
    fs.writeFileSync(join(this.#root, "guest/vmlinuz"), tinyKernel(LINUX));
    fs.writeFileSync(join(this.#root, "guest/initrd.gz"), Buffer.alloc(INITRD_PAGES * 4096));
    await this.#relive(recording);
    // Of two scripts at once, the recordings' bridge was the slower.
    inject(this.host, ["slow-script", "/etc/xen/scripts/vif-bridge", "0.6"]);
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
    const before = new LiveCollector("before");
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
      const before = this.#consoles.get(domid) ?? "";
      this.#consoles.set(domid, before + text);
      // Inputs are given between turns, and guests' timers go off in them.
      if (UP.test(before + text) && !UP.test(before)) setImmediate(() => this.#holdEnds());
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
      case "block-device":
        return this.#blockDevice(step.path, step.bytes);
      case "bridge":
        return this.host.driver.give(putBridge, { name: step.name });
      case "command":
        return this.#command(this.#filled(step.line), step.waits);
      case "quiet":
        // Debug keys, which nobody hears of here.
        return undefined;
      case "note":
        return this.#note(this.#filled(step.text));
      case "domid":
        return void this.#domids.push(await this.#domidOf(step.name));
      case "up":
        return this.#waitUp(step.name);
      case "gone":
        return this.#waitGone(this.#domid(step.domain));
      case "snapshot":
        this.#note(`snapshot ${step.name}`);
        await this.#quiet();
        return this.#snapshot(step.name);
      case "stall":
        return this.#stall(step.after);
      case "go-on":
        return process.kill(this.#stalled, "SIGCONT") && undefined;
      case "hold":
        return this.#hold(this.#domid(step.domain), step.what, step.which);
      case "let-go":
        return void this.#holder?.kill();
      case "sleep":
        // What the driver waited for has happened when nothing happens any more.
        this.host.driver.give(letBoot, null);
        return this.#quiet();
      default:
        throw new Error(`a live run does not know how to ${step.do}`);
    }
  }

  #domid(nth: number): number {
    return this.#domids[nth - 1] ?? -1;
  }

  #filled(text: string): string {
    return text.replace(/\$(\d)/g, (_, nth: string) => String(this.#domids[Number(nth) - 1]));
  }

  #config(name: string, text: string): void {
    const path = `/tmp/${name}.cfg`;
    if (this.#players.xl === "builtin") return this.host.driver.give(putFile, { path, text });
    fs.writeFileSync(join(this.#root, path), this.#programs.moved(text));
  }

  /** Runs a command to its end and notes what it said. */
  async #command(line: string, waits = false): Promise<void> {
    this.#mayEnd = false;
    this.host.driver.give(holdBoots, null);
    const start = this.#collector.tick();
    const { stdout, stderr, status } = await this.#execute(line, waits ? "hurried" : "traced");
    const end = this.#collector.tick();
    await this.#until("what died is gone", () => this.#holder !== null || this.#everybodyLives());
    await this.#quiet(BETWEEN_MS);
    this.#collector.recording.commands.push({
      ...{ kind: "command", start, end, line, exitCode: status ?? -1 },
      stdout: textLines(stdout),
      stderr: textLines(stderr),
    });
  }

  #execute(line: string, how: "traced" | "hurried" | "plain"): Promise<Output> {
    return this.#players.xl === "real" ? this.#executeOutside(line, how) : this.#executeInside(line);
  }

  async #executeInside(line: string): Promise<Output> {
    this.host.driver.give(startCommand, { name: this.#name("command"), line });
    const name = this.#collector.lastStarted;
    await this.#until(`${line} ends`, () => this.#collector.outputs.get(name)?.status !== null);
    return this.#collector.outputs.get(name)!;
  }

  async #executeOutside(line: string, how: "traced" | "hurried" | "plain"): Promise<Output> {
    const child = this.#programs.start(line, how);
    const output: Output = { stdout: "", stderr: "", status: null };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream]?.on("data", (bytes: Buffer) => (output[stream] += this.#plain(bytes.toString("latin1"))));
    // Its background process keeps the pipes: that it ended is what counts. All that it
    // wrote is in them, and has been read when the loop has come round to them again.
    child.on("exit", (code) => setImmediate(() => setImmediate(() => (output.status = code ?? -1))));
    await this.#until(`${line} ends`, () => output.status !== null);
    return output;
  }

  /** Stops the process that makes this hypercall, once it has been made. */
  async #stall(after: string): Promise<void> {
    this.#stalled = 0;
    const deaf = this.host.recorder.listenTo("hypercall", ({ op, caller }) => {
      const pid = Number(/^d0\/xl\.(\d+)$/.exec(caller)?.[1] ?? 0);
      if (op !== after || pid === 0 || this.#stalled !== 0) return;
      this.#stalled = pid;
      process.kill(pid, "SIGSTOP");
    });
    await this.#until(`somebody calls ${after}`, () => this.#stalled !== 0);
    deaf();
  }

  async #hold(domid: number, what: "foreign" | "grant" | "shared_info", which: number): Promise<void> {
    const held = what === "grant" ? `grant ${which}` : frameToHold(this.host.world, domid, what, which);
    this.#holder = this.#programs.start(`/oracle/holder ${domid} ${held}`);
    let said = "";
    this.#holder.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString("latin1")));
    await this.#until("the page is mapped", () => /^[0-9a-f]{8}\n/.test(said));
  }

  #blockDevice(path: string, bytes: number): void {
    const file = this.#programs.makeBlockDevice(path);
    this.host.driver.give(putBlockDevice, { path: this.#players.xl === "real" ? file : path, bytes });
  }

  #monitorLogs(): Recording["monitorLogs"] {
    const folder = join(this.host.where.dir, "log-xen");
    const names = fs.readdirSync(folder).filter((name) => /^xl-.*\.log$/.test(name));
    return names.toSorted().map((name) => ({
      name,
      lines: textLines(this.#plain(fs.readFileSync(join(folder, name), "latin1"))),
    }));
  }

  /** A text in which the recordings' paths are as they were, and so is the size of a configuration that names two. */
  #plain(text: string): string {
    return text
      .replaceAll(this.#root, "")
      .replace(/(?<= fmt info | format \(info )0x3\/0x0\/(\d+)/, (_, size: string) => {
        return `0x3/0x0/${Number(size) - 2 * this.#root.length}`;
      });
  }

  #plainLine(line: StoreLine): StoreLine {
    return "body" in line ? { ...line, body: this.#plain(line.body) } : line;
  }

  #name(program: string): string {
    return `dom0/${program}.${1000 + ++this.#started}`;
  }

  #note(text: string): void {
    this.#collector.recording.commands.push({ kind: "note", start: this.#collector.tick(), text });
  }

  async #domidOf(name: string): Promise<number> {
    return Number((await this.#execute(`xl domid ${name}`, "plain")).stdout.trim() || -1);
  }

  async #waitUp(name: string): Promise<void> {
    const domid = this.#domids.at(-1) ?? -1;
    this.host.driver.give(letBoot, null);
    await this.#until(`guest ${name} (domain ${domid}) up`, () => UP.test(this.#consoles.get(domid) ?? ""));
    this.#note(`guest ${name} up`);
  }

  /** Guests do not end by themselves, unless the scenario waits for their end by now. */
  #holdEnds(): void {
    if (!this.#mayEnd) this.host.driver.give(holdEnds, null);
  }

  async #waitGone(domid: number): Promise<void> {
    this.#mayEnd = true;
    this.host.driver.give(letEnd, null);
    await this.#until(`dom ${domid} gone`, () => domainById(this.host.world, domid) === undefined);
    this.#note(`dom ${domid} gone from hypervisor`);
  }

  async #snapshot(name: string): Promise<void> {
    const text = await listStore(this.host.where.xenstored);
    this.#collector.recording.snapshots.push(parseSnapshot(name, this.#plain(text)));
  }

  /** A monitor needs a moment to destroy a domain that has shut down, xenstored and xenconsoled to let go of it. */
  #everybodyLives(): boolean {
    return [...forEachDomain(this.host.world)].every(
      ({ isDying, shutdown }) => isDying === "alive" && shutdown === "none",
    );
  }

  /**
   * Waits until nothing has happened for so long, and nobody is about to do
   * anything. Looks count, not time: hosts live in this process, which may be late.
   */
  async #quiet(forMs = QUIET_MS): Promise<void> {
    let heard = 0;
    let looks = 0;
    await this.#until("quiet", () => {
      const last = Math.max(this.#lastEvent, this.#trace.last, this.#watched.last);
      looks = last === heard && this.#programs.resting() ? looks + 1 : 0;
      heard = last;
      return looks > forMs / LOOK_MS;
    });
  }

  #until(what: string, condition: () => boolean): Promise<void> {
    return waitUntil(what, condition, [this.#told], { timeoutMs: PATIENCE_MS, everyMs: LOOK_MS });
  }
}
