// SPDX-License-Identifier: Apache-2.0
//
// The steps of CONTROL live-update, as xenstore-control makes them
// (do_control_lu in Xen's tools/xenstored/lu.c): the program that is to take
// over, its arguments, and the start. What happens then is in hand-over.ts.

import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { must } from "../../core/engine/cells.ts";
import { fail, type Failure } from "../../core/engine/errno.ts";
import { connectionType } from "../../core/xenstore/connection.ts";
import { transactionType } from "../../core/xenstore/transaction-cells.ts";
import { queueReply } from "../../core/xenstore/output.ts";
import type { LiveUpdateRequest } from "../../core/xenstore/ports.ts";
import { atoi } from "../../core/xenstore/request.ts";
import { startTransaction } from "../../core/xenstore/transaction.ts";
import { encode, XS } from "../../core/xenstore/wire.ts";
import type { Store } from "../../core/xenstore/store.ts";
import type { StreamVersion } from "../../core/xenstore/stream.ts";

const POLL_MS = 50;

/** A live update that was begun. */
interface Session {
  /** Who began it; only this connection may go on with it. */
  readonly conn: number;
  readonly client: object | undefined;
  readonly file: string;
  readonly isOurs: boolean;
  cmdline: string | null;
  /** The request that started it, once it is started. */
  start: LiveUpdateRequest | null;
}

/** What a hand-over needs to know. */
export interface HandOverOrder {
  readonly file: string;
  /** Arguments for the successor, or null for those of this process. */
  readonly cmdline: string | null;
  /** The successor is a Xenolith: it takes open transactions, and answers before this process ends. */
  readonly isOurs: boolean;
  readonly version: StreamVersion;
  /** The connection that is to get the reply, and the reply. */
  readonly replyTo: number;
  readonly reply: Uint8Array;
  readonly delayed: (conn: number) => Uint8Array;
}

export interface LiveUpdateOptions {
  readonly store: () => Store;
  readonly versionMax: StreamVersion;
  /** What stands for a client as long as it is connected. */
  readonly clientOf: (conn: number) => object | undefined;
  readonly flush: () => void;
  /** Ends this process, or resolves with why not. */
  readonly handOver: (order: HandOverOrder) => Promise<string>;
  readonly log: (text: string) => void;
}

/** Live update of one daemon. */
export class LiveUpdate {
  readonly #options: LiveUpdateOptions;
  #session: Session | null = null;
  /** Transactions to be started when it is decided who starts them: request ids by connection. */
  readonly #delayed = new Map<number, number>();

  constructor(options: LiveUpdateOptions) {
    this.#options = options;
  }

  /** Store.liveUpdate. */
  readonly step = (request: LiveUpdateRequest): string | Failure => {
    const [what, ...args] = request.args;
    this.#forgetGone();
    if (what === "-a" && args.length === 0) return this.#abort();
    if (what === "-f" && args.length === 1) return this.#begin(request.conn, args[0] as string);
    if (what === "-c" && args.length === 1) return this.#cmdline(request.conn, args[0] as string);
    if (what === "-s") return this.#start(request, args);
    return fail("EINVAL");
  };

  /** Store.delaysTransaction: while it waits for open transactions to end, no new ones begin. */
  readonly delays = (conn: number, reqId: number): boolean => {
    if (this.#session === null || this.#session.start === null || this.#session.isOurs) return false;
    this.#delayed.set(conn, reqId);
    return true;
  };

  /** A session ends with its connection, if it is not started. */
  #forgetGone(): void {
    const session = this.#session;
    if (session !== null && this.#options.clientOf(session.conn) !== session.client) this.#session = null;
  }

  #abort(): string {
    const session = this.#session;
    if (session === null) return "No live-update session active.";
    this.#session = null;
    if (session.start !== null) this.#answer(session.start, "Cancellation was requested");
    return "OK";
  }

  #begin(conn: number, file: string): string {
    try {
      if (!statSync(file).isFile()) return "File not accessible.";
    } catch {
      return "File not accessible.";
    }
    try {
      accessSync(file, constants.X_OK);
    } catch {
      return "File not executable.";
    }
    if (this.#session !== null) return "live-update session already active.";
    const client = this.#options.clientOf(conn);
    this.#session = { conn, client, file, isOurs: isXenolith(file), cmdline: null, start: null };
    return "OK";
  }

  #sessionOf(conn: number): Session | null {
    return this.#session?.conn === conn && this.#session.start === null ? this.#session : null;
  }

  #cmdline(conn: number, cmdline: string): string {
    const session = this.#sessionOf(conn);
    if (session === null) return "Not in live-update session.";
    session.cmdline = cmdline;
    return "OK";
  }

  #start(request: LiveUpdateRequest, args: readonly string[]): string | Failure {
    let force = false;
    let seconds = 0;
    let version: number = this.#options.versionMax;
    for (let at = 0; at < args.length; at++) {
      const value = args[at + 1];
      if (args[at] === "-F") force = true;
      else if (args[at] === "-t" && value !== undefined) seconds = atoi(args[++at] as string);
      else if (args[at] === "-v" && value !== undefined && this.#options.versionMax > 1)
        version = atoi(args[++at] as string);
      else return fail("EINVAL");
    }
    const session = this.#sessionOf(request.conn);
    if (session === null) return "Not in live-update session.";
    if (version < 1 || version > this.#options.versionMax) return "Migration stream version not supported.";
    session.start = request;
    this.#options.log(`live update: start, force=${force}, to=${seconds}, ${session.file}`);
    void this.#run(session, { force, seconds, version: version as StreamVersion });
    return "later";
  }

  async #run(
    session: Session,
    { force, seconds, version }: { force: boolean; seconds: number; version: StreamVersion },
  ): Promise<void> {
    // The request is answered as it was made: nothing is done in the middle of it.
    await new Promise((resolve) => setImmediate(resolve));
    const late = performance.now() + seconds * 1000;
    const { cells } = this.#options.store();
    const long = new Set(cells.ids(transactionType));
    while (!session.isOurs && cells.count(transactionType) > 0 && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (this.#session !== session) return;
    }
    if (this.#session !== session) return;
    const why =
      !session.isOurs && cells.count(transactionType) > 0 && !force
        ? this.#reject(long, seconds)
        : await this.#options.handOver(this.#order(session, version));
    if (this.#session === session) this.#session = null;
    this.#options.log(`live update: ${why}`);
    this.#answer(session.start as LiveUpdateRequest, why);
  }

  /** lu_reject_reason: whose transactions were open all the time. */
  #reject(long: ReadonlySet<number | string>, seconds: number): string {
    const { cells } = this.#options.store();
    const lines = cells
      .ids(transactionType)
      .filter((id) => long.has(id))
      .map(
        (id) =>
          `\nDomain ${must(cells, connectionType, must(cells, transactionType, id).conn).domid}: ${seconds} s`,
      );
    if (lines.length === 0) return "Overlapping transactions";
    return `Domains with long running transactions:${lines.join("")}`;
  }

  #order(session: Session, version: StreamVersion): HandOverOrder {
    const { conn, reqId, txId } = session.start as LiveUpdateRequest;
    const { file, cmdline, isOurs } = session;
    return {
      file,
      cmdline,
      isOurs,
      version,
      replyTo: conn,
      reply: encode(XS.CONTROL, reqId, txId, "OK\0"),
      delayed: (of) => {
        const delayed = this.#delayed.get(of);
        return delayed === undefined ? new Uint8Array(0) : encode(XS.TRANSACTION_START, delayed, 0, "\0");
      },
    };
  }

  /** It came to nothing: who asked is told, and what was delayed is done. */
  #answer({ conn, reqId, txId }: LiveUpdateRequest, text: string): void {
    const store = this.#options.store();
    if (store.cells.get(connectionType, conn) !== undefined)
      queueReply(store, conn, XS.CONTROL, reqId, txId, `${text}\0`);
    for (const [delayed, id] of this.#delayed) {
      if (store.cells.get(connectionType, delayed) === undefined) continue;
      queueReply(store, delayed, XS.TRANSACTION_START, id, 0, `${startTransaction(store.cells, delayed)}\0`);
    }
    this.#delayed.clear();
    this.#options.flush();
  }
}

/** Whether a program is a Xenolith, or a script that starts one. */
function isXenolith(file: string): boolean {
  const start = readFileSync(file).subarray(0, 4096).toString("latin1");
  return start.startsWith("#!") && start.toLowerCase().includes("xenolith");
}
