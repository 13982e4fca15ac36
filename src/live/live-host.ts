// SPDX-License-Identifier: Apache-2.0
//
// A host that lives: its world on the real clock, its sockets in a directory,
// its events where somebody listens.

import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { must } from "../core/engine/cells.ts";
import type { Plain } from "../core/engine/cells.ts";
import { World } from "../core/engine/world.ts";
import { serverEnded } from "../core/daemons/outside.ts";
import { XENSTORED } from "../core/daemons/xenstored.ts";
import { bootHost, defaultHost, hostCell, hostIsUp } from "../core/host.ts";
import type { HostConfig } from "../core/host.ts";
import { defaultMachine } from "../core/hypervisor/machine.ts";
import { xenbusCell } from "../core/xenbus/xenbus.ts";
import type { TraceHeader } from "../export/trace-file.ts";
import { Attention } from "./attention.ts";
import { startBridge } from "./bridge/bridge.ts";
import type { Bridge } from "./bridge/bridge.ts";
import { isAlive } from "./bridge/hypercalls.ts";
import { listen, serveControl } from "./control.ts";
import type { ControlServer, Handler } from "./control.ts";
import { releaseDirectory, takeDirectory } from "./directory.ts";
import type { Directory } from "./directory.ts";
import { leaveDom0Config } from "./dom0-files.ts";
import { domainPlace, forgetDomainPlaces, makeDomainPlace } from "./domain-places.ts";
import type { DomainPlace } from "./domain-places.ts";
import { domainName, domainRows } from "./domains.ts";
import { Driver } from "./driver.ts";
import { dom0Config, forgetRun, writeScripts } from "./left-for-programs.ts";
import { FileMemory, memoryFolder } from "./guest-memory.ts";
import { OutsideNames } from "./outside-names.ts";
import { Problem } from "./problem.ts";
import { Recorder } from "./recorder.ts";
import { endDaemonsOf } from "./run-session.ts";
import { Sockets } from "./sockets.ts";
import { Terminals } from "./terminals.ts";
import { WitnessedMemory } from "./witnessed-memory.ts";
import { XenDaemon, xenProgram } from "./xen-daemon.ts";
import type { XenconsoledKind } from "./xen-daemon.ts";
import { XenstoredProcess } from "./xenstored-process.ts";
import type { XenstoredKind } from "./xenstored-process.ts";

/** How a live host is started. */
export interface LiveOptions {
  where: Directory;
  config: Partial<Omit<HostConfig, "xenstored" | "xenconsoled">>;
  /** Which of Xen's own xenstoreds serves the host; ours where none is said. */
  xenstored?: XenstoredKind;
  /** Xen's own xenconsoled serves the consoles; ours where nothing is said. */
  xenconsoled?: XenconsoledKind;
  /** File the run is recorded in, or null. */
  trace: string | null;
  /** The program's version, for the trace. */
  code: string;
  /** Told what goes wrong while the host lives on. */
  warn: (text: string) => void;
  /** Told that the host has stopped by itself, and why: a broken invariant. */
  crashed: (problem: Problem) => void;
}

/** A xenstored that does not come up in this time never will. */
const UP_MS = 20_000;

/** A host in its directory. `start` it, `stop` it. */
export class LiveHost {
  readonly where: Directory;
  readonly config: HostConfig;
  readonly recorder: Recorder;
  readonly driver: Driver;
  readonly world: World;
  readonly #memory: FileMemory;
  readonly #attention = new Attention();
  readonly #sockets: Sockets;
  readonly #warn: (text: string) => void;
  #xenstored: XenstoredProcess | null = null;
  #xenconsoled: XenDaemon | null = null;
  #names: OutsideNames | null = null;
  /** How xenstored ended, where it is a process outside and has: the host is of little use then. */
  #xenstoredGone: string | null = null;
  #bridge: Bridge | null = null;
  #terminals: Terminals | null = null;
  #control: ControlServer | null = null;
  readonly #servers: net.Server[] = [];
  #isUp = false;
  #stopping: Promise<void> | null = null;
  /** Told of a crash before the host is up. */
  #crashed: (problem: Problem) => void = () => {};

  private constructor(options: LiveOptions) {
    this.where = options.where;
    this.#warn = options.warn;
    const xenstored = options.xenstored === undefined ? "builtin" : "outside";
    const xenconsoled = options.xenconsoled === undefined ? "builtin" : "outside";
    this.config = { ...defaultHost, ...options.config, xenstored, xenconsoled };
    this.recorder = new Recorder(traceHeader(this.config, options), options.trace, options.warn);
    this.#memory = this.#makeMemory(options.trace !== null);
    this.world = new World({ memory: this.#memory });
    this.recorder.attach(this.world);
    this.driver = new Driver(this.world, (error) => {
      const problem = this.#crash(error);
      this.#crashed(problem);
      options.crashed(problem);
    });
    this.world.boot((host) => bootHost(host, this.config));
    this.#sockets = new Sockets(this.driver, this.#attention);
    this.driver.afterTurn(() => this.recorder.flush());
  }

  /** Takes the directory, brings the host up and opens its xenstored's socket. Rejects with Problem. */
  static async start(options: LiveOptions): Promise<LiveHost> {
    await takeDirectory(options.where);
    endDaemonsOf(options.where.bridge);
    forgetRun(options.where.dir);
    forgetDomainPlaces(options.where.dir);
    let host: LiveHost | null = null;
    try {
      host = new LiveHost(options);
      await host.#serveDevices(options.warn);
      if (options.xenconsoled === undefined) host.#terminals = Terminals.start(host.driver, host.recorder);
      // dom0's kernel waits until a xenstored answers it.
      if (options.xenstored !== undefined) host.#startXenstored(options.xenstored);
      await host.#comeUp();
      leaveDom0Config(host.world, dom0Config(options.where.bridge));
      if (options.xenstored === undefined) await host.#serveXenstored();
      else host.#names = await OutsideNames.follow(options.where.xenstored);
      if (options.xenconsoled !== undefined) host.#startXenconsoled();
      return host;
    } catch (error) {
      if (host === null) releaseDirectory(options.where);
      else await host.stop();
      throw error;
    }
  }

  /** Who serves xenstore, and how that ended if it has. */
  get store(): { by: "builtin" | XenstoredKind; pid: number | null; gone: string | null } {
    const by = this.#xenstored?.kind ?? "builtin";
    return { by, pid: this.#xenstored?.pid ?? null, gone: this.#xenstoredGone };
  }

  /** A domain's name in xenstore, whoever serves that; null where it has none. */
  nameOf(domid: number): string | null {
    return this.#names === null ? domainName(this.world, domid) : this.#names.of(domid);
  }

  /**
   * Lets programs into a domain, by its name or number; what they are run with.
   * Rejects with Problem where there is no such domain, or no kernel in it.
   */
  async enterDomain(named: string): Promise<DomainPlace> {
    const rows = domainRows(this.world, this.world.now, (domid) => this.nameOf(domid));
    const row = rows.find(({ domid, name }) => name === named || String(domid) === named);
    if (row === undefined || row.domid === 0 || !isAlive(this.world, row.domid))
      throw new Problem(`there is no domain ${named} beside dom0`, "xenolith xl list");
    const { domid } = row;
    if (this.world.get(xenbusCell, domid) === undefined)
      throw new Problem(`no kernel runs in domain ${domid} yet`, `xenolith xl unpause ${domid}`);
    const place = domainPlace(this.where.dir, domid);
    makeDomainPlace(place);
    await (this.#bridge as Bridge).enter(domid, place.bridge);
    writeScripts(this.where, place);
    return place;
  }

  /** Lets commands in. */
  async serve(handler: Handler): Promise<void> {
    this.#control = await serveControl(this.where.control, handler);
  }

  /** Ends everything and gives the directory back. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#names?.close();
    this.#terminals?.stop();
    await this.#xenconsoled?.stop();
    await this.#xenstored?.stop();
    this.driver.stop();
    this.#sockets.close();
    for (const server of this.#servers) server.close();
    this.#control?.close();
    await this.#bridge?.close();
    this.#memory.close();
    this.recorder.close();
    forgetRun(this.where.dir);
    forgetDomainPlaces(this.where.dir);
    releaseDirectory(this.where);
  }

  /** A run that is recorded keeps what steps find in memory that programs outside write to. */
  #makeMemory(traced: boolean): FileMemory {
    const folder = memoryFolder(this.where.dir);
    if (!traced) return new FileMemory(folder);
    return new WitnessedMemory(folder, {
      step: () => (this.world.acting ? this.world.step : null),
      found: (write) => this.recorder.found(write),
    });
  }

  #comeUp(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.#crashed(new Problem("dom0 does not come up", null)), UP_MS);
      this.#crashed = (problem) => {
        clearTimeout(late);
        reject(problem);
      };
      this.driver.afterTurn(() => {
        if (this.#isUp || !hostIsUp(this.world)) return;
        this.#isUp = true;
        clearTimeout(late);
        resolve();
      });
      this.driver.wake();
    });
  }

  #startXenstored(kind: XenstoredKind): void {
    const { where, config } = this;
    this.#sockets.reach(XENSTORED, where.xenstored);
    const version = config.machine.version ?? defaultMachine.version;
    this.#xenstored = new XenstoredProcess({
      kind,
      version,
      where,
      ended: (how) => {
        this.#xenstoredGone = how;
        this.driver.give(serverEnded, { server: XENSTORED });
        if (!this.#isUp) this.#crashed(new Problem(how, null));
        else this.#warn(`xenstored is gone: ${how}. As on a real host, kernels wait for it for ever`);
      },
    });
  }

  /** Domains that print before it has come up wait for it, as on Xen. */
  #startXenconsoled(): void {
    const { where, config } = this;
    const file = xenProgram("xenconsoled", config.machine.version ?? defaultMachine.version);
    const command = [file, "-i", "--log=guest", "--log-dir=/var/log/xen/console"] as const;
    fs.mkdirSync(path.join(where.dir, "log-xen/console"), { recursive: true, mode: 0o700 });
    this.#xenconsoled = new XenDaemon({
      command,
      where,
      ended: (how) =>
        this.#warn(`xenconsoled is gone: ${how}. Nobody serves consoles until another is started`),
    });
  }

  async #serveXenstored(): Promise<void> {
    const listener = net.createServer();
    this.#sockets.serve(listener, XENSTORED);
    await listen(listener, this.where.xenstored);
    this.#servers.push(listener);
  }

  async #serveDevices(log: (line: string) => void): Promise<void> {
    const { driver, where, world } = this;
    const { storeMfn: mfn, storePort: port } = must(world, hostCell, 0);
    const store = { mfn, port };
    const options = { memory: this.#memory, attention: this.#attention, store, log };
    this.#bridge = await startBridge({ ...options, driver, folder: where.bridge });
    writeScripts(where, where);
  }

  #crash(error: unknown): Problem {
    if (error instanceof Problem) return new Problem(`the host has stopped: ${error.message}`, error.next);
    const file = path.join(this.where.dir, "crash.trace.jsonl");
    const saved = this.recorder.saveCrash(file);
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const where = saved === null ? "no trace could be written" : `what led to it is in ${saved}`;
    const next = saved === null ? null : `xenolith export ${saved} --as mermaid`;
    return new Problem(`the host has stopped: ${what}\n${where}`, next);
  }
}

function traceHeader(config: HostConfig, { code }: LiveOptions): TraceHeader {
  return {
    schema: "xenolith-trace",
    version: 1,
    scenario: null,
    seed: 0,
    scheduler: "live",
    mutant: null,
    host: config as unknown as Plain,
    xen: config.machine.version ?? defaultMachine.version,
    code,
  };
}
