// SPDX-License-Identifier: Apache-2.0
//
// A live host in the test's own process, and Debian's programs run on it as
// `xenolith run` does.

import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyKernel } from "../../examples/guests/tiny-kernel.ts";
import { must } from "../../src/core/engine/cells.ts";
import { threadCell } from "../../src/core/engine/thread.ts";
import type { TraceEvents } from "../../src/core/engine/trace.ts";
import { guestCell } from "../../src/core/guest/guest.ts";
import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { domainById, forEachDomain } from "../../src/core/hypervisor/domain.ts";
import { mappedRunCell } from "../../src/core/hypervisor/mapped-run.ts";
import { mappingCell } from "../../src/core/hypervisor/mapping-cells.ts";
import { directory } from "../../src/live/directory.ts";
import type { Directory } from "../../src/live/directory.ts";
import { LiveHost, type LiveOptions } from "../../src/live/live-host.ts";
import { libxendev } from "../../src/live/native.ts";
import { startOnHost } from "../../src/live/run.ts";
import { verbsOf } from "../../src/live/verbs.ts";
import { Told, waitUntil } from "../live-told.ts";

/** What a program said, both streams in one, and its exit code. */
export interface Result {
  readonly code: number;
  readonly out: string;
}

type Daemons = Partial<Pick<LiveOptions, "xenstored" | "xenconsoled" | "trace">>;

/** Where programs are run. */
type Place = Pick<Directory, "dir" | "bridge" | "xenstored">;

/** What the hosts that run have to say. */
const running = new Set<Told>();

async function startLive(folder: string, told: Told, daemons: Daemons): Promise<LiveHost> {
  const live = await LiveHost.start({
    where: directory(join(folder, "host")),
    config: {},
    trace: null,
    ...daemons,
    code: "test",
    ...told.options,
  });
  told.listen(live);
  await live.serve(verbsOf(live, () => live.stop()));
  return live;
}

/** A host with a tiny kernel in its folder. */
export class RealHost {
  readonly folder: string;
  readonly where: Directory;
  live: LiveHost;
  readonly warnings: string[];
  /** Hypercalls that changed something, since the list was emptied. */
  hypercalls: TraceEvents["hypercall"][] = [];
  readonly #told: Told;
  readonly #children: ChildProcess[] = [];

  private constructor(folder: string, live: LiveHost, told: Told) {
    this.folder = folder;
    this.where = directory(join(folder, "host"));
    this.live = live;
    this.#told = told;
    this.warnings = told.warnings;
    running.add(told);
    this.#listen();
  }

  /** @param daemons which of Xen's own serve it, ours where none are said; and the file it is recorded in */
  static async start(daemons: Daemons = {}): Promise<RealHost> {
    const folder = fs.mkdtempSync(join(tmpdir(), "xenolith-real-"));
    const told = new Told();
    fs.writeFileSync(join(folder, "tiny.elf"), tinyKernel());
    return new RealHost(folder, await startLive(folder, told, daemons), told);
  }

  /** Stops it and starts another one in its place: no domain and no trace of programs is left. */
  async restart(): Promise<void> {
    await this.live.stop();
    this.live = await startLive(this.folder, this.#told, {});
    this.#listen();
  }

  #listen(): void {
    this.live.recorder.listenTo("hypercall", (data) => this.hypercalls.push(data));
  }

  async stop(): Promise<void> {
    running.delete(this.#told);
    await this.live.stop();
    // A test that failed may have left some; xenstore-watch spins when its xenstored is gone.
    for (const child of this.#children) if (child.exitCode === null) child.kill("SIGKILL");
    fs.rmSync(this.folder, { recursive: true });
  }

  /** Writes an xl.cfg of the tiny kernel; its path. */
  config(name: string, type: "pv" | "pvh", more: readonly string[] = []): string {
    const file = join(this.folder, `${name}.cfg`);
    const kernel = `kernel = "${this.folder}/tiny.elf"`;
    fs.writeFileSync(file, [`name = "${name}"`, `type = "${type}"`, kernel, ...more, ""].join("\n"));
    return file;
  }

  /** Starts a program. */
  spawn(...command: [string, ...string[]]): ChildProcess {
    return this.#start(this.where, command);
  }

  #start({ dir, bridge, xenstored }: Place, command: [string, ...string[]]): ChildProcess {
    const child = startOnHost({ dir, bridge, xenstored, library: libxendev(), command }, "pipe");
    this.#children.push(child);
    return child;
  }

  /** Starts a program in a domain. */
  async spawnIn(domain: string, ...command: [string, ...string[]]): Promise<ChildProcess> {
    return this.#start(await this.live.enterDomain(domain), command);
  }

  /** Runs a program in a domain to its end. */
  async runIn(domain: string, ...command: [string, ...string[]]): Promise<Result> {
    return this.#ended(await this.spawnIn(domain, ...command));
  }

  /** Runs a program to its end. */
  run(...command: [string, ...string[]]): Promise<Result> {
    return this.#ended(this.spawn(...command));
  }

  #ended(child: ChildProcess): Promise<Result> {
    let out = "";
    child.stdout?.on("data", (text: Buffer) => (out += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (out += text.toString()));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code: code ?? -1, out })));
  }

  /** Runs a program that must succeed; what it said. */
  async ok(...command: [string, ...string[]]): Promise<string> {
    const { code, out } = await this.run(...command);
    if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${out}`);
    return out;
  }

  /** The rows of `xl list`, without times. */
  async rows(): Promise<string[]> {
    const out = await this.ok("xl", "list");
    const rows = out.trimEnd().split("\n").slice(1);
    return rows.map((row) => row.replaceAll(/\s+/g, " ").replace(/ [\d.]+$/, ""));
  }

  /** The number that xl has for a domain. */
  async domid(name: string): Promise<number> {
    return Number(await this.ok("xl", "domid", name));
  }

  /** Whether the guest's user space has come up. */
  isUp(domid: number): boolean {
    return typeof this.live.world.get(guestCell, domid)?.upAt === "number";
  }

  /** Waits until a domain's guest is up. */
  up(domid: number): Promise<void> {
    return until(`domain ${domid} is up`, () => this.isUp(domid));
  }

  /** Waits until a domain is gone and what it had is free again, which Xen does a moment later. */
  gone(domid: number): Promise<void> {
    const { world } = this.live;
    const isFreed = (): boolean =>
      world.ids(threadCell).every((name) => !String(name).startsWith("xen/rcu/"));
    return until(`domain ${domid} is gone`, () => domainById(world, domid) === undefined && isFreed());
  }

  /** Pages that processes with such names map of domains. */
  mappedBy(isTheirs: (process: string) => boolean): number {
    const { world } = this.live;
    const entries = world.ids(mappingCell).flatMap((id) => must(world, mappingCell, id).entries);
    const runs = world.ids(mappedRunCell).map((last) => ({ last, run: must(world, mappedRunCell, last) }));
    const inRuns = runs.filter(({ run }) => isTheirs(run.process));
    return (
      entries.filter(({ process }) => isTheirs(process)).length +
      inRuns.reduce((sum, { last, run }) => sum + Number(last) + 1 - run.first, 0)
    );
  }

  /** What of the hypervisor's ledgers does not agree with its counts. */
  ledgerProblems(): string[] {
    return [...forEachDomain(this.live.world)].flatMap(({ domid }) => checkLedger(this.live.world, domid));
  }
}

/** Waits for what happens in the test's own process; in vain, the hosts that run say what they know. */
export function until(what: string, condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  return waitUntil(what, condition, running, { timeoutMs, everyMs: 20 });
}
