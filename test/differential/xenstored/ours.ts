// SPDX-License-Identifier: Apache-2.0
//
// Our xenstored as a subject: the same script, in this process. A domain's bytes
// go straight to its connection; what a ring does to them has tests of its own.

import type { DomainInfo } from "../../../src/core/xenstore/ports.ts";
import {
  connectSocket,
  disconnect,
  domainsChanged,
  outputLength,
  receive,
  type Store,
  startStore,
  type StoreOptions,
  takeOutput,
} from "../../../src/core/xenstore/store.ts";
import { StoreCells } from "../../../src/core/xenstore/store-cells.ts";
import { checkStore } from "../../../src/core/xenstore/check.ts";
import { encode, parse, readLatin1, XS } from "../../../src/core/xenstore/wire.ts";
import type { Answers, Received, Subject } from "./driver.ts";
import type { Command, ScriptLine } from "./script.ts";
import type { DomainState } from "./steps.ts";

/** A fresh store for every script. Throws where the store is not sound at its end. */
export function ourSubject(name: string, options: StoreOptions): Subject {
  return {
    name,
    deaths: 0,
    play: (script) => {
      const run = new Run(options);
      const answers = script.map(({ command }: ScriptLine) => run.perform(command));
      const problems = checkStore(run.store.cells);
      if (problems.length > 0) throw new Error(`the store is not sound: ${problems.join("; ")}`);
      return answers;
    },
    stop: () => Promise.resolve(),
  };
}

const infos: Readonly<Record<DomainState, DomainInfo | undefined>> = {
  absent: undefined,
  running: { shutdown: false, dying: false },
  shutdown: { shutdown: true, dying: false },
  dying: { shutdown: true, dying: true },
};

class Run {
  readonly store: Store;
  readonly #hypervisor = new Map<number, DomainState>();
  /** The store's connection of a slot. */
  readonly #conns = new Map<number, number>();
  readonly #sockets = new Set<number>();
  readonly #watching = new Set<number>();
  readonly #transactions = new Map<number, number>();
  #messages: Received[] = [];
  #closed: number[] = [];
  #reqId = 0;

  constructor(options: StoreOptions) {
    this.store = {
      cells: new StoreCells(),
      now: 0,
      domains: {
        info: (domid) => infos[domid === 0 ? "running" : (this.#hypervisor.get(domid) ?? "absent")],
        introduce: () => undefined,
        rebind: () => undefined,
        resetRing: () => undefined,
        release: () => undefined,
        ignored: () => undefined,
      },
    };
    startStore(this.store, options);
  }

  perform(command: Command): Answers {
    this.#messages = [];
    this.#closed = [];
    switch (command.op) {
      case "connect":
        this.#conns.set(command.slot, connectSocket(this.store));
        this.#sockets.add(command.slot);
        break;
      case "ring":
        this.#conns.set(command.slot, command.domid);
        break;
      case "close":
        if (this.#sockets.delete(command.slot))
          disconnect(this.store, this.#conns.get(command.slot) as number);
        this.#conns.delete(command.slot);
        this.#watching.delete(command.slot);
        break;
      case "quiet":
        this.#watching.delete(command.slot);
        break;
      case "settle":
        for (const slot of [...this.#watching].toSorted((a, b) => a - b)) this.#collect(slot);
        break;
      case "domain":
        this.#hypervisor.set(command.domid, command.state);
        if (command.isQuiet !== true) domainsChanged(this.store);
        break;
      case "request":
        this.#request(command);
    }
    return { messages: this.#messages, closed: this.#closed, late: [] };
  }

  #request({ slot, type, body, txSlot, txId, isQueued }: Extract<Command, { op: "request" }>): void {
    const conn = this.#conns.get(slot);
    if (conn === undefined) return;
    const starts = type === XS.TRANSACTION_START;
    const tx = txSlot === undefined || starts ? txId : (this.#transactions.get(txSlot) ?? 0);
    const reqId = ++this.#reqId;
    const state = receive(this.store, conn, encode(type, reqId, tx, body));
    if (type === XS.WATCH) this.#watching.add(slot);
    // Nothing is lost where nobody waits: it comes with the next reply.
    if (isQueued !== true) this.#collect(slot, reqId, tx);
    if (state === "failed") this.#closed.push(slot);
    const reply = this.#messages.findLast((message) => message.type !== XS.WATCH_EVENT);
    if (starts && txSlot !== undefined && reply?.type === XS.TRANSACTION_START) {
      this.#transactions.set(txSlot, Number.parseInt(reply.body, 10));
    }
  }

  #collect(slot: number, reqId = 0, tx = 0): void {
    const conn = this.#conns.get(slot);
    if (conn === undefined) return;
    const bytes = new Uint8Array(outputLength(this.store.cells, conn));
    takeOutput(this.store, conn, bytes, 0, bytes.length);
    for (let at = 0; at < bytes.length;) {
      const parsed = parse(bytes, at);
      if (parsed.state !== "packet") throw new Error("a reply that is not a message");
      const event = parsed.type === XS.WATCH_EVENT;
      this.#messages.push({
        slot,
        type: parsed.type,
        body: readLatin1(bytes, parsed.start, parsed.end),
        wrong: event ? parsed.reqId !== 0 || parsed.txId !== 0 : parsed.reqId > reqId || parsed.txId !== tx,
      });
      at = parsed.end;
    }
  }
}
