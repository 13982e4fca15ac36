// SPDX-License-Identifier: Apache-2.0
//
// Does on our host what the driver of a recording did on real Xen, and records
// the same.

import { fileCell, readFileText, textBytes, writeFile, writeFileText } from "../../src/core/daemons/files.ts";
import { spawnProcess } from "../../src/core/daemons/process.ts";
import { bootTimesCell } from "../../src/core/guest/guest.ts";
import { addBridge, losetup } from "../../src/core/drivers/backend-devices.ts";
import { input } from "../../src/core/engine/input.ts";
import { fifo, run } from "../../src/core/engine/scheduler.ts";
import { World, type Action } from "../../src/core/engine/world.ts";
import { bootHost, hostIsUp } from "../../src/core/host.ts";
import { domainById, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { domidRoverCell } from "../../src/core/hypervisor/domid.ts";
import { flagString, getdomaininfo } from "../../src/core/hypervisor/dominfo.ts";
import { spawnXl } from "../../src/core/toolstack/xl.ts";
import { Collector, textLines, type Output } from "./collect.ts";
import { hold, letGo } from "./hold.ts";
import { prehistoryOf, type Prehistory } from "./prehistory.ts";
import { parseSnapshot } from "./parse/snapshot.ts";
import { parseWatchLog } from "./parse/watch-log.ts";
import { mkdom, putNodes, xenstoreLs, xswatch, type NodeData } from "./programs.ts";
import type { Recording } from "./recording.ts";
import { configText, type Step } from "./scenarios/steps.ts";

const SECOND_US = 1_000_000;
/** From one command to the first request of the next: no process of the recordings started faster. */
const EXEC_US = 200_000;
/** No command takes longer: the longest that xl waits for anything is a minute. */
const PATIENCE_US = 300 * SECOND_US;
/** How long the recordings' driver waits for a guest to come up. */
const UP_US = 80 * SECOND_US;
/** More steps than any scenario takes: reaching it is a run that never ends. */
const STEPS_MAX = 5_000_000;

/** Runs the steps on a host with the recording's past; what they leave behind, in the recording's form. */
export function drive(recording: Recording, steps: Step[]): Recording {
  return new Driver(recording.scenario, prehistoryOf(recording)).run(steps);
}

/** What our host's debug keys print in a scenario, by `KEY-LABEL`: the lines as `xl dmesg -c` gives them. */
export function driveDebugKeys(recording: Recording, steps: Step[]): ReadonlyMap<string, string[]> {
  const driver = new Driver(recording.scenario, prehistoryOf(recording));
  driver.run(steps);
  return driver.debugKeys;
}

/** Files that the recordings' dom0 had; of a kernel only what a loader looks at. */
export const FILES = {
  "/guest/vmlinuz": bzImage(),
  "/guest/initrd.gz": textBytes("\x1f\x8b\x08"),
  "/etc/passwd": textBytes("root:x:0:0:root:/root:/bin/bash\n"),
};

function bzImage(): Uint8Array {
  const bytes = new Uint8Array(0x300);
  bytes.set(textBytes("HdrS"), 0x202);
  return bytes;
}

/** The recorded guests ran on an emulated machine: seconds from unpause to the first request, and on to "up". */
const RECORDED_BOOT = { kernelUs: 5_200_000, lateInitUs: 2_300_000 };

export const putFile = input("golden: a file", (host, { path, text }: { path: string; text: string }) => {
  writeFileText(host, path, text);
});

const putDisk = input("golden: a loop device", (host, { path, bytes }: { path: string; bytes: number }) => {
  const image = `/mnt${path}.img`;
  writeFile(host, image, new Uint8Array(0));
  host.edit(fileCell, image).size = bytes;
  losetup(host, 0, image);
});

export const putBridge = input("golden: a bridge", (host, { name }: { name: string }) =>
  addBridge(host, name),
);

export const setRover = input("golden: the domid rover", (host, { rover }: { rover: number }) => {
  host.edit(domidRoverCell, 0).rover = rover;
});

export const startCommand = input(
  "golden: a command",
  (host, { name, line }: { name: string; line: string }) => {
    const argv = line.split(" ");
    const [program = "", ...rest] = argv;
    if (program === "xl") spawnXl(host, rest);
    else if (program === "xenstore-ls") spawnProcess(host, name, argv, xenstoreLs, {});
    else if (program === "xswatch") spawnProcess(host, name, argv, xswatch, { paths: rest });
    else spawnProcess(host, name, argv, mkdom, { mode: rest[0]!, number: Number(rest[1]) });
  },
);

export const startPutNodes = input(
  "golden: nodes",
  (host, { name, nodes }: { name: string; nodes: readonly NodeData[] }) => {
    spawnProcess(host, name, ["putnodes"], putNodes, { nodes });
  },
);

class Driver {
  readonly #world = new World();
  readonly #consoles = new Map<number, string>();
  readonly #domids: number[] = [];
  readonly #watcher: string;
  /** The process that does not get on, by the beginning of its threads' names. */
  #stalled: string | null = null;
  #collector = new Collector("before");
  /** What debug keys have printed, by `KEY-LABEL`. */
  readonly debugKeys = new Map<string, string[]>();
  #pressed = "";
  #lastCall = { op: "", caller: "" };
  #started = 0;

  constructor(scenario: string, past: Prehistory) {
    this.#world.sink = (record) => {
      this.#collector.take(record);
      if (record.kind === "hypercall") this.#lastCall = record.data;
      if (record.kind !== "console") return;
      const { domid, text } = record.data;
      this.#consoles.set(domid, (this.#consoles.get(domid) ?? "") + text);
    };
    this.#world.boot((host) => {
      bootHost(host, { files: FILES });
      host.add(bootTimesCell, 0, RECORDED_BOOT);
    });
    this.#until(() => hostIsUp(this.#world));
    this.#relive(past);
    this.#collector = new Collector(scenario);
    this.#watcher = this.#start("xswatch / @introduceDomain @releaseDomain");
    this.#settle();
  }

  /** Does each step, then lets a second pass. */
  run(steps: Step[]): Recording {
    for (const step of steps) this.#do(step);
    this.#pass(SECOND_US);
    this.#snapshot("final");
    const watched = textLines(this.#collector.outputs.get(this.#watcher)!.stdout);
    this.#collector.recording.watch = parseWatchLog(watched.map((line) => `0.0 ${line}\n`).join(""));
    return this.#collector.finish();
  }

  /** Makes the host one that has had the recording's earlier domains. */
  #relive(past: Prehistory): void {
    if (past.hadDomains) {
      const text = configText({ type: "pv", listing: false }, "earlier", "mode=idle");
      this.#world.give(putFile, { path: "/tmp/earlier.cfg", text });
      for (const line of ["xl create -p /tmp/earlier.cfg", "xl destroy earlier"])
        this.#finish(this.#start(line));
      this.#pass(100 * SECOND_US);
    }
    const nodes = past.nodes.map(({ path, value, permissions }): NodeData => [path, value, permissions]);
    this.#world.give(startPutNodes, { name: this.#name("putnodes"), nodes });
    this.#finish(this.#collector.lastStarted);
    this.#world.give(setRover, { rover: past.nextDomid - 1 });
  }

  #do(step: Step): void {
    switch (step.do) {
      case "config":
        return void this.#world.give(putFile, { path: `/tmp/${step.name}.cfg`, text: step.text });
      case "block-device":
        return void this.#world.give(putDisk, { path: step.path, bytes: step.bytes });
      case "bridge":
        return void this.#world.give(putBridge, { name: step.name });
      case "hold": {
        const { what, which } = step;
        return void this.#world.give(hold, { domid: this.#domids[step.domain - 1]!, what, which });
      }
      case "stall":
        return this.#stall(step.after);
      case "go-on":
        this.#stalled = null;
        return;
      case "let-go":
        return void this.#world.give(letGo, null);
      case "command":
        return this.#command(this.#filled(step.line));
      case "quiet":
        return this.#quiet(step.line);
      case "together":
        return step.lines.map((line) => this.#start(line)).forEach((name) => this.#finish(name));
      case "domid":
        return void this.#domids.push(this.#domidOf(step.name));
      case "note":
        this.#pressed = step.text.replace(/^debug-keys (\w) \((\w+)\)$/, "$1-$2");
        return this.#note(this.#filled(step.text));
      case "snapshot":
        this.#note(`snapshot ${step.name}`);
        return this.#snapshot(step.name);
      case "up":
        return this.#waitUp(step.name);
      case "gone":
        return this.#waitGone(this.#domids[step.domain - 1]!, step.seconds ?? 60);
      case "flags":
        return this.#waitFlags(this.#domids[step.domain - 1]!, step.pattern);
      case "sleep":
        return this.#pass(step.seconds * SECOND_US);
    }
  }

  #filled(text: string): string {
    return text.replace(/\$(\d)/g, (_, nth: string) => String(this.#domids[Number(nth) - 1]));
  }

  /** Runs a command that the recordings' tracer did not see. */
  #quiet(line: string): void {
    const name = this.#start(line);
    const { stdout } = this.#finish(name);
    this.#collector.forgetCalls(name);
    // The console is emptied before a key is pressed, too.
    if (line === "xl dmesg -c" && stdout.includes(" pressed"))
      this.debugKeys.set(this.#pressed, textLines(stdout));
  }

  /** Runs a command to its end and notes what it said. */
  #command(line: string): void {
    this.#pass(EXEC_US);
    const start = this.#collector.tick();
    const output = /^xl|^\/oracle\/mkdom/.test(line) ? this.#finish(this.#start(line)) : this.#coreutil(line);
    const stdout = textLines(output.stdout);
    const stderr = textLines(output.stderr);
    const end = this.#collector.tick();
    const exitCode = output.status ?? -1;
    this.#collector.recording.commands.push({ kind: "command", start, end, line, stdout, stderr, exitCode });
  }

  /** `cat FILE`, `ls -l FILE`: the host's files without a process. */
  #coreutil(line: string): Output {
    const [program, ...rest] = line.split(" ");
    const text = readFileText(this.#world, rest.at(-1)!);
    if (text === null)
      return { stdout: "", stderr: `${program}: ${rest.at(-1)}: No such file or directory\n`, status: 1 };
    return { stdout: program === "cat" ? text : `${rest.at(-1)}\n`, stderr: "", status: 0 };
  }

  #name(program: string): string {
    return `dom0/${program}.${1000 + ++this.#started}`;
  }

  /** Starts a program; returns its process's name. */
  #start(line: string): string {
    this.#world.give(startCommand, { name: this.#name(line.split(" ")[0]!.split("/").at(-1)!), line });
    return this.#collector.lastStarted;
  }

  /** Goes on until the process has ended; what it said. */
  #finish(name: string): Output {
    const ended = (): boolean => this.#collector.outputs.get(name)?.status !== null;
    if (!this.#until(ended, PATIENCE_US)) throw new Error(`${name} waits for ever`);
    return this.#collector.outputs.get(name)!;
  }

  #note(text: string): void {
    this.#collector.recording.commands.push({ kind: "note", start: this.#collector.tick(), text });
  }

  #snapshot(name: string): void {
    this.#settle();
    const { stdout } = this.#finish(this.#start("xenstore-ls -fp"));
    this.#collector.recording.snapshots.push(parseSnapshot(name, stdout));
  }

  #domidOf(name: string): number {
    const { stdout } = this.#finish(this.#start(`xl domid ${name}`));
    return Number(stdout.trim() || -1);
  }

  #waitUp(name: string): void {
    const domid = this.#domids.at(-1)!;
    const isUp = (): boolean => this.#consoles.get(domid)?.includes("GUEST: up") ?? false;
    const up = this.#until(() => isUp() || domainById(this.#world, domid) === undefined, UP_US) && isUp();
    this.#note(`guest ${name} ${up ? "up" : "NOT UP"}`);
  }

  #waitGone(domid: number, seconds: number): void {
    const gone = this.#until(() => domainById(this.#world, domid) === undefined, seconds * SECOND_US);
    this.#note(`dom ${domid} ${gone ? "gone from hypervisor" : "NOT gone"}`);
  }

  #waitFlags(domid: number, pattern: string): void {
    const flags = new RegExp(`^${pattern}$`);
    const matches = (): boolean => {
      const domain = domainById(this.#world, domid);
      return (
        domain !== undefined &&
        flags.test(flagString(getdomaininfo(this.#world, this.#world.now, domain).flags))
      );
    };
    const matched = this.#until(matches, 60 * SECOND_US);
    this.#note(`dom ${domid} flags ${matched ? "match" : "never"} ${pattern}`);
  }

  #stall(after: string): void {
    this.#lastCall = { op: "", caller: "" };
    if (!this.#until(() => this.#lastCall.op === after, PATIENCE_US))
      throw new Error(`nobody calls ${after}`);
    this.#stalled = this.#lastCall.caller.replace(/^d0\//, "dom0/");
  }

  /** Threads that can take a step and are not stalled. */
  #runnable(): string[] {
    const stalled = this.#stalled;
    return this.#world.runnable.filter((thread) => stalled === null || !thread.startsWith(stalled));
  }

  /** As `fifo`, without those that are stalled. */
  #next(): Action | null {
    if (this.#stalled === null) return fifo(this.#world);
    const runnable = this.#runnable();
    const thread = runnable.find((name) => name > this.#world.counters.last) ?? runnable[0];
    if (thread !== undefined) return { thread, choice: 0 };
    const timer = this.#world.nextTimer();
    return timer ? { timer: timer.thread } : null;
  }

  /** Lets time pass. */
  #pass(us: number): void {
    const end = this.#world.now + us;
    this.#until(() => false, us);
    if (this.#world.now < end) this.#world.perform({ clock: end });
  }

  /** Goes on until everybody waits, without letting time pass. */
  #settle(): void {
    this.#until(() => this.#runnable().length === 0);
  }

  /** Goes on until `done`, the host rests for ever, or the time is over. Returns whether it is done. */
  #until(done: () => boolean, patience = Infinity): boolean {
    const end = this.#world.now + patience;
    const over = (): boolean =>
      this.#runnable().length === 0 && (this.#world.nextTimer()?.deadline ?? Infinity) > end;
    run(this.#world, () => this.#next(), {
      stepsMax: STEPS_MAX,
      until: () => {
        this.#sample();
        return done() || over();
      },
    });
    return done();
  }

  #sample(): void {
    const guests = [...forEachDomain(this.#world)].filter(({ domid }) => domid !== 0);
    this.#collector.sample(guests.map((domain) => getdomaininfo(this.#world, this.#world.now, domain)));
  }
}
