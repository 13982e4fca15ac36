// SPDX-License-Identifier: Apache-2.0
//
// For tests: a started store with a hypervisor that says what the test wants,
// and clients that speak the wire protocol to it.

import type { Cells } from "../engine/cells.ts";
import { StoreCells } from "./store-cells.ts";
import type { DomainInfo, Store, TraceLine } from "./ports.ts";
import { connectSocket, outputLength, receive, startStore, type StoreOptions, takeOutput } from "./store.ts";
import { encode, parse, readLatin1, typeName, XS } from "./wire.ts";

/** A store under test. */
export interface TestStore extends Store {
  now: number;
  /** What the hypervisor says of the domains but 0; absent ones do not exist. */
  readonly hypervisor: Map<number, DomainInfo>;
  /** Calls of the ports, in order: `introduce 1`, `release 1`, ... */
  readonly calls: string[];
  readonly trace: TraceLine[];
}

/**
 * A store that has just started; domains 1 to 9 exist.
 *
 * @param start how it starts, for one that takes over from another
 */
export function testStore(
  options: StoreOptions = {},
  cells: Cells = new StoreCells(),
  start: (store: Store, options: StoreOptions) => void = startStore,
): TestStore {
  const hypervisor = new Map<number, DomainInfo>();
  for (let domid = 1; domid < 10; domid++) hypervisor.set(domid, { shutdown: false, dying: false });
  const calls: string[] = [];
  const trace: TraceLine[] = [];
  const call = (what: string): undefined => void calls.push(what);
  const store: TestStore = {
    cells,
    now: 0,
    hypervisor,
    calls,
    trace,
    domains: {
      info: (domid) => (domid === 0 ? { shutdown: false, dying: false } : hypervisor.get(domid)),
      introduce: (domid) => call(`introduce ${domid}`),
      rebind: (domid) => call(`rebind ${domid}`),
      resetRing: (domid) => call(`resetRing ${domid}`),
      release: (domid) => call(`release ${domid}`),
      ignored: (domid, error) => call(`ignored ${domid} ${error}`),
    },
    observe: (line) => void trace.push(line),
  };
  start(store, options);
  return store;
}

/** What a request is called in tests: its type's name in xenstored's trace. */
export type RequestName = keyof typeof XS;

/** One client: a socket, or a domain on its ring. */
export class TestClient {
  readonly store: TestStore;
  readonly conn: number;
  #reqId = 0;

  constructor(store: TestStore, conn: number = connectSocket(store)) {
    this.store = store;
    this.conn = conn;
  }

  /** The connection of a domain, which is introduced for it. */
  static ofDomain(store: TestStore, domid: number): TestClient {
    const toolstack = new TestClient(store);
    toolstack.ask("INTRODUCE", `${domid}|1|1|`);
    return new TestClient(store, domid);
  }

  /** Sends a request; `|` in the payload stands for NUL. */
  send(request: RequestName | number, payload: string, txId = 0): void {
    const type = typeof request === "number" ? request : XS[request];
    receive(this.store, this.conn, encode(type, ++this.#reqId, txId, payload.replaceAll("|", "\0")));
  }

  /** Everything there is to take, a string a message: `READ value`, `ERROR ENOENT|`, `WATCH_EVENT /a|token|`. */
  take(): string[] {
    const bytes = new Uint8Array(outputLength(this.store.cells, this.conn));
    takeOutput(this.store, this.conn, bytes, 0, bytes.length);
    const found: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const parsed = parse(bytes, at);
      if (parsed.state !== "packet") throw new Error("a reply that is not a message");
      const body = readLatin1(bytes, parsed.start, parsed.end).replaceAll("\0", "|");
      found.push(`${typeName(parsed.type)} ${body}`);
      at = parsed.end;
    }
    return found;
  }

  /** Sends a request and takes all that comes: events before and after the reply, too. */
  all(request: RequestName | number, payload: string, txId = 0): string[] {
    this.send(request, payload, txId);
    return this.take();
  }

  /** Sends a request; its reply without the type, or the error's name. Events are left out. */
  ask(request: RequestName | number, payload: string, txId = 0): string {
    const replies = this.all(request, payload, txId).filter((message) => !message.startsWith("WATCH_EVENT "));
    if (replies.length !== 1) throw new Error(`expected one reply, got ${JSON.stringify(replies)}`);
    const reply = replies[0] as string;
    return reply.startsWith("ERROR ") ? reply.slice(6, -1) : reply.slice(reply.indexOf(" ") + 1);
  }

  /** Starts a transaction; its identifier. */
  begin(): number {
    return Number.parseInt(this.ask("TRANSACTION_START", "|"), 10);
  }

  /** Commits; `OK|` or the error's name. */
  commit(txId: number): string {
    return this.ask("TRANSACTION_END", "T|", txId);
  }
}
