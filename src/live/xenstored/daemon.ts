// SPDX-License-Identifier: Apache-2.0
//
// xenstored as a daemon: a store, its socket, and what was asked for besides: a
// journal, metrics, a file with its number. What was not asked for is not loaded.

import type { Server } from "node:http";
import type { Cells } from "../../core/engine/cells.ts";
import { StoreCells } from "../../core/xenstore/store-cells.ts";
import { startStore, type Store, type StoreOptions, type TraceLine } from "../../core/xenstore/store.ts";
import type { WatchLayout } from "../../core/xenstore/stream.ts";
import { typeName } from "../../core/xenstore/wire.ts";
import type { FsyncPolicy, Journal, JournalOptions } from "./journal.ts";
import type * as JournalModule from "./journal.ts";
import type { JournalCells } from "../../core/xenstore/journal-cells.ts";
import { DescriptorWatch } from "./descriptors.ts";
import { LiveUpdate } from "./live-update.ts";
import type { FileRings } from "./file-rings.ts";
import { LiveStore } from "./live-store.ts";
import { Log, type LogLevel } from "./log.ts";
import { serveXenstored, type XenstoredServer } from "./server.ts";
import { StandaloneDomains, WRITE_RATE } from "./standalone.ts";
import { storeMemory } from "./store-memory.ts";
import { LiveTraceFile } from "./trace-file.ts";
import type { TakenOver } from "./take-over.ts";

/** What is only loaded where there is a journal. */
type JournalParts = typeof JournalModule;

/** How a daemon is started. */
export interface DaemonOptions {
  readonly socketPath: string;
  readonly store: StoreOptions;
  readonly pidFile: string | null;
  /** The journal's file. */
  readonly state: string | null;
  readonly fsync: FsyncPolicy;
  /** 0 for any that is free. */
  readonly metricsPort: number | null;
  readonly logLevel: LogLevel;
  readonly watchLayout: WatchLayout;
  /** Takes over from the xenstored that started this one. */
  readonly takeOver: boolean;
  /** A folder whose files are the domains, for tests; see domain-files.ts. */
  readonly domains: string | null;
  /** Told when it cannot go on. */
  readonly failed: (error: Error) => void;
}

/** A daemon that serves. */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #domains = new StandaloneDomains();
  #rings: FileRings | undefined;
  readonly #cells: Cells;
  readonly #journalParts: JournalParts | null;
  #store!: Store;
  #server!: XenstoredServer;
  #journal: Journal | undefined;
  #predecessorLeft: Promise<void> = Promise.resolve();
  readonly #traceFile = new LiveTraceFile();
  readonly #descriptors = new DescriptorWatch((text) => this.#log.tell("warn", text));
  #metrics: { port: number; server: Server } | null = null;

  private constructor(options: DaemonOptions, parts: JournalParts | null, cells: Cells) {
    this.#options = options;
    this.#log = new Log(options.logLevel);
    this.#journalParts = parts;
    this.#cells = cells;
  }

  /**
   * Starts it. Resolves once it serves.
   *
   * @throws SocketError, JournalError, or the system's error
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const parts = options.state === null ? null : await import("./journal.ts");
    const cells =
      parts === null
        ? new StoreCells(storeMemory())
        : new (await import("../../core/xenstore/journal-cells.ts")).JournalCells(storeMemory());
    const daemon = new Daemon(options, parts, cells);
    await daemon.#begin();
    return daemon;
  }

  /** The port metrics are at, or null. */
  get metricsPort(): number | null {
    return this.#metrics?.port ?? null;
  }

  async #begin(): Promise<void> {
    const { metricsPort, takeOver, domains } = this.#options;
    if (domains !== null) this.#rings = new (await import("./file-rings.ts")).FileRings(domains);
    const metrics = metricsPort === null ? null : await import("./metrics.ts");
    const counts = metrics === null ? undefined : new metrics.MessageCounts();
    try {
      if (takeOver) await this.#takeOver(counts?.observe);
      else {
        await this.#serve(counts?.observe);
        await this.#writePidFile();
      }
      if (metrics !== null && counts !== undefined) {
        this.#metrics = await metrics.serveMetrics(metricsPort as number, () => ({
          cells: this.#store.cells,
          counts,
          journal: this.#journal,
        }));
      }
      await this.#tellService();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #serve(observe: ((line: TraceLine) => void) | undefined): Promise<void> {
    this.#server = await serveXenstored({
      socketPath: this.#options.socketPath,
      store: (queued) => {
        const store = this.#makeStore(queued, observe);
        if (this.#journalParts === null) startStore(store, { writeRate: WRITE_RATE, ...this.#options.store });
        else this.#journal = this.#openJournal(this.#journalParts, store);
        return store;
      },
      rings: this.#rings,
      settle: this.#journalParts === null ? undefined : (then) => this.#settle(then),
      accepted: (clients) => this.#descriptors.accepted(clients),
    });
    this.#log.tell("info", `listens at ${this.#options.socketPath}`);
  }

  #settle(then: () => void): boolean {
    return this.#journal?.settle(then) ?? true;
  }

  #openJournal(parts: JournalParts, store: Store): Journal {
    return parts.Journal.open(
      this.#journalOptions(),
      store,
      this.#cells as JournalCells,
      this.#options.store,
    );
  }

  #journalOptions(): JournalOptions {
    const { state, fsync, failed } = this.#options;
    return {
      file: state as string,
      fsync,
      log: (level, text) => this.#log.tell(level, text),
      failed: (error) => failed(new Error(`cannot write ${state}: ${error.message}`)),
    };
  }

  #makeStore(queued: (conn: number) => void, count: ((line: TraceLine) => void) | undefined): Store {
    const liveUpdate = new LiveUpdate({
      store: () => this.#store,
      versionMax: this.#options.store.version === "4.23" ? 2 : 1,
      clientOf: (conn) => this.#server.clientOf(conn),
      flush: () => this.#server.flush(),
      handOver: async (order) => {
        if (this.#rings !== undefined) return "The domains are files here, which only one process can serve.";
        const { handOver } = await import("./hand-over.ts");
        const { watchLayout: layout } = this.#options;
        const portOf = (domid: number): number => this.#domains.ports.get(domid) ?? 0;
        const release = (): void => void this.#metrics?.server.close();
        const [server, store, journal] = [this.#server, this.#store, this.#journal];
        const predecessorLeft = this.#predecessorLeft;
        return handOver({ server, store, journal, layout, portOf, predecessorLeft, release }, order);
      },
      log: (text) => this.#log.tell("info", text),
    });
    this.#store = new LiveStore({
      cells: this.#cells,
      domains: this.#rings?.domains ?? this.#domains,
      queued,
      observe: this.#observer(count),
      traceFile: this.#traceFile,
      liveUpdate: liveUpdate.step,
      delaysTransaction: liveUpdate.delays,
      log: (text) => this.#log.tell("warn", text),
    });
    return this.#store;
  }

  /** Counts and traces messages; undefined where nobody wants either. */
  #observer(count: ((line: TraceLine) => void) | undefined): Store["observe"] {
    const traces = this.#log.tells("trace");
    const tells = this.#log.tells("debug");
    if (!tells) return count;
    return (line) => {
      count?.(line);
      const { kind, conn, type, reqId, txId, body } = line;
      if (type < 0) this.#log.tell("debug", `${kind} ${conn}`);
      else if (traces)
        this.#log.tell("trace", `${kind} ${conn} ${typeName(type)} ${reqId} ${txId} ${JSON.stringify(body)}`);
    };
  }

  async #takeOver(observe: ((line: TraceLine) => void) | undefined): Promise<void> {
    const { TakenOver } = await import("./take-over.ts");
    const { socketPath, store: how, watchLayout } = this.#options;
    // Who has something to take is told to the server when there is one.
    let queued = (_conn: number): void => undefined;
    const store = this.#makeStore((conn) => queued(conn), observe);
    const taken = TakenOver.load(store, how, watchLayout);
    const parts = this.#journalParts;
    const cells = this.#cells as JournalCells;
    const written = parts?.Journal.write(this.#journalOptions(), cells);
    await taken.untilLetGo();
    if (parts !== null && written !== undefined)
      this.#journal = parts.Journal.putInPlace(this.#journalOptions(), cells, written);
    // Before anybody is answered: who is may look for the process that did.
    await this.#writePidFile();
    this.#server = await serveXenstored({
      socketPath,
      store: (tell) => {
        queued = tell;
        return store;
      },
      settle: parts === null ? undefined : (then) => this.#settle(then),
      inherited: () => taken.sockets(),
      accepted: (clients) => this.#descriptors.accepted(clients),
    });
    this.#predecessorLeft = taken.predecessorLeft;
    this.#tellTakenOver(taken);
    taken.serve(this.#server);
    this.#server.flush();
  }

  #tellTakenOver({ ignored, ports }: TakenOver): void {
    for (const [domid, port] of ports) this.#domains.ports.set(domid, port);
    for (const number of ignored)
      this.#log.tell("warn", `records of type ${number} are not known, and had no effect`);
    this.#log.tell("info", `has taken over at ${this.#options.socketPath}`);
  }

  async #writePidFile(): Promise<void> {
    const { pidFile } = this.#options;
    if (pidFile !== null) (await import("./service.ts")).writePidFile(pidFile, this.#options.takeOver);
  }

  async #tellService(): Promise<void> {
    if (process.env["NOTIFY_SOCKET"] === undefined) return;
    const service = await import("./service.ts");
    const status = `--status=serving ${this.#options.socketPath}`;
    const wrong = await service.notifyService(["--ready", `--pid=${process.pid}`, status]);
    if (wrong !== null) this.#log.tell("warn", wrong);
  }

  /** Goes on in a new trace file where somebody has moved the old one away (reopen_log in xenstored_core.c). */
  reopenTrace(): void {
    this.#traceFile.open();
    this.#log.tell("info", "the trace file, if there is one, was opened anew");
  }

  /** Ends it: nobody is served any more, and the journal has everything. */
  async close(): Promise<void> {
    const { pidFile } = this.#options;
    if (pidFile !== null || process.env["NOTIFY_SOCKET"] !== undefined) {
      const service = await import("./service.ts");
      if (this.#server !== undefined) await service.notifyService(["STOPPING=1"]);
      if (pidFile !== null) service.removePidFile(pidFile);
    }
    this.#metrics?.server.close();
    await (this.#server as XenstoredServer | undefined)?.close();
    this.#journal?.close();
    this.#log.tell("info", "ended");
  }
}
