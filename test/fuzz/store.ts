// SPDX-License-Identifier: Apache-2.0
//
// A store under attack: sockets and domains send it whatever they like, in pieces
// of any size, take their replies or leave them, come and go. All along
// - every whole request is answered once, in order, by its type or ERROR with a
//   name of the wire; a length above 4096 ends the conversation, and nothing else does
// - a domain that minds its own business gets exactly its replies and events
// - in the end nothing of the attackers is left.

import { isDeepStrictEqual } from "node:util";
import { type Cells, cellTypes } from "../../src/core/engine/cells.ts";
import { checkStore } from "../../src/core/xenstore/check.ts";
import { StoreCells } from "../../src/core/xenstore/store-cells.ts";
import { DOMID_ANY, incarnationType } from "../../src/core/xenstore/perms.ts";
import {
  connectSocket,
  disconnect,
  domainsChanged,
  mayRead,
  outputLength,
  receive,
  type Store,
  startStore,
  takeOutput,
  type XenstoreVersion,
} from "../../src/core/xenstore/store.ts";
import {
  encode,
  HEADER_SIZE,
  parse,
  PAYLOAD_MAX,
  readLatin1,
  readU32,
  XS,
} from "../../src/core/xenstore/wire.ts";
import { ERROR_CODES } from "../../src/client/index.ts";
import { Chance } from "./chance.ts";
import { nextBytes } from "./messages.ts";

/** Every cell there is, as `type/id`. Asked of the cells: counting calls of `drop` misses nodes that go quietly. */
function cellNames(cells: Cells): string[] {
  return cellTypes().flatMap((type) => cells.ids(type).map((id) => `${type.name}/${id}`));
}

/** The domain that minds its own business, and those that do not. */
export const INNOCENT = 5093;
const ATTACKERS = [1, 2, 3] as const;
const SOCKETS = 3;

/** Cells that attackers may leave for ever: what is counted for DOMID_ANY, and domain 0 acting for itself. */
const STAYING: ReadonlySet<string> = new Set([
  `xenstore-account/${DOMID_ANY}`,
  `xenstore-maxima/${DOMID_ANY}`,
  "xenstore-targeted/0",
]);

/** Besides, it is remembered of every domid how many domains had it. */
function mayStay(name: string): boolean {
  return STAYING.has(name) || name.startsWith(`${incarnationType.name}/`);
}

/** Nodes that are not the attackers'. */
const KEPT: ReadonlySet<string> = new Set(["tool", "local", String(INNOCENT)]);

const errors: ReadonlySet<string> = new Set(ERROR_CODES);

/** What a message is about. */
interface Message {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly body: string;
}

/** Ends an attack that was successful. */
export function problem(text: string): never {
  throw new Error(text);
}

/** Everything a connection has to take. */
function take(store: Store, conn: number): Message[] {
  const bytes = new Uint8Array(outputLength(store.cells, conn));
  takeOutput(store, conn, bytes, 0, bytes.length);
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length;) {
    const parsed = parse(bytes, at);
    if (parsed.state !== "packet") problem(`connection ${conn} is sent what is no message`);
    const { type, reqId, txId, start, end } = parsed;
    messages.push({ type, reqId, txId, body: readLatin1(bytes, start, end) });
    at = end;
  }
  return messages;
}

/** A connection that sends what it likes, and what it may expect for it. */
class Attacker {
  readonly conn: number;
  readonly #store: Store;
  readonly #sender: "domain" | "socket";
  /** Requests that are not answered yet. */
  readonly #open: Omit<Message, "body">[] = [];
  readonly transactions: number[] = [];
  #stream = new Uint8Array(0);
  requests = 0;

  constructor(store: Store, conn: number, sender: "domain" | "socket") {
    this.#store = store;
    this.conn = conn;
    this.#sender = sender;
  }

  /** Sends something; false where the conversation is over. */
  send(chance: Chance): boolean {
    const bytes = nextBytes(chance, this.#sender, this.transactions);
    const isNonsense = this.#note(bytes);
    let state: "open" | "failed" = "open";
    for (let at = 0; at < bytes.length && state === "open";) {
      const length = chance.once(4) ? 1 + chance.below(bytes.length - at) : bytes.length - at;
      // A copy, as from a transport whose buffer is used again.
      state = receive(this.#store, this.conn, bytes.slice(at, at + length));
      at += length;
    }
    if (isNonsense !== (state === "failed"))
      problem(`after a ${isNonsense ? "bad" : "good"} length: ${state}`);
    return state === "open";
  }

  /** Cuts what was sent into requests, as a store has to; true at a length that cannot be. */
  #note(bytes: Uint8Array): boolean {
    const stream = new Uint8Array(this.#stream.length + bytes.length);
    stream.set(this.#stream);
    stream.set(bytes, this.#stream.length);
    let at = 0;
    for (; stream.length >= at + HEADER_SIZE; this.requests++) {
      const length = readU32(stream, at + 12);
      if (length > PAYLOAD_MAX) return true;
      if (stream.length < at + HEADER_SIZE + length) break;
      this.#open.push({
        type: readU32(stream, at),
        reqId: readU32(stream, at + 4),
        txId: readU32(stream, at + 8),
      });
      at += HEADER_SIZE + length;
    }
    this.#stream = stream.slice(at);
    return false;
  }

  /** Takes what there is, and compares it with what was asked. */
  take(): void {
    for (const message of take(this.#store, this.conn)) {
      if (message.body.length > PAYLOAD_MAX) problem("a message that is too long");
      if (message.type === XS.WATCH_EVENT) continue;
      const asked = this.#open.shift() ?? problem("an answer that nobody asked for");
      const { type, reqId, txId } = message;
      if (reqId !== asked.reqId || txId !== asked.txId) problem("an answer out of order");
      if (type === XS.ERROR ? !errors.has(message.body.slice(0, -1)) : type !== asked.type)
        problem(`${asked.type} is answered with ${type} ${message.body}`);
      if (type === XS.TRANSACTION_START) this.transactions.push(Number.parseInt(message.body, 10));
      if (type === XS.TRANSACTION_END || type === XS.RESET_WATCHES) this.#forget(asked.txId, type);
    }
    if (this.#open.length > 0) problem(`${this.#open.length} requests have no answer`);
  }

  #forget(txId: number, type: number): void {
    const index = this.transactions.indexOf(txId);
    if (type === XS.RESET_WATCHES) this.transactions.length = 0;
    else if (index >= 0) this.transactions.splice(index, 1);
  }
}

/** A domain that does the same again and again. */
export class Innocent {
  readonly #store: Store;
  #reqId = 0;
  rounds = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#expect(XS.WATCH, "own\0mine\0", 0, ["OK\0", "own\0mine\0"]);
  }

  #ask(type: number, body: string, txId = 0): Message[] {
    receive(this.#store, INNOCENT, encode(type, ++this.#reqId, txId, body));
    return take(this.#store, INNOCENT);
  }

  #expect(type: number, body: string, txId: number, bodies: readonly string[]): void {
    const found = this.#ask(type, body, txId);
    const isRight =
      isDeepStrictEqual(
        found.map((message) => message.body),
        bodies,
      ) && found.every((message) => message.type === XS.WATCH_EVENT || message.reqId === this.#reqId);
    if (!isRight) problem(`the innocent asked ${type} ${body} and got ${JSON.stringify(found)}`);
  }

  /** Everything as always. */
  check(): void {
    const value = String(this.rounds++);
    this.#expect(XS.WRITE, `own/x\0${value}`, 0, ["own/x\0mine\0", "OK\0"]);
    this.#expect(XS.READ, "own/x\0", 0, [value]);
    const [started] = this.#ask(XS.TRANSACTION_START, "\0");
    const tx = Number.parseInt(started?.body ?? "", 10);
    this.#expect(XS.MKDIR, "own/y\0", tx, ["OK\0"]);
    this.#expect(XS.DIRECTORY, "own\0", 0, ["x\0"]);
    this.#expect(XS.TRANSACTION_END, "T\0", tx, ["own/y\0mine\0", "OK\0"]);
    this.#expect(XS.RM, "own/y\0", 0, ["own/y\0mine\0", "OK\0"]);
    this.#expect(XS.GET_PERMS, "own\0", 0, [`n${INNOCENT}\0`]);
  }
}

/** Figures of an attack. */
export interface Attack {
  readonly requests: number;
  readonly checks: number;
  readonly conversationsEnded: number;
}

/** Sends so many pieces. Throws where something is not as it should be. */
export function attackStore(seed: number, pieces: number): Attack {
  const chance = new Chance(seed);
  const siege = new Siege(chance, chance.of<XenstoreVersion>(["4.17", "4.23"]));
  for (let piece = 0; piece < pieces; piece++) siege.step(piece);
  return siege.end();
}

class Siege {
  readonly #chance: Chance;
  readonly #cells = new StoreCells();
  readonly #alive = new Set<number>([INNOCENT, ...ATTACKERS, 4, 8]);
  readonly #store: Store;
  readonly #admin: number;
  readonly #innocent: Innocent;
  readonly #attackers: Attacker[] = [];
  readonly #cellsBefore: ReadonlySet<string>;
  #requests = 0;
  #ended = 0;

  constructor(chance: Chance, version: XenstoreVersion) {
    this.#chance = chance;
    const alive = this.#alive;
    this.#store = {
      cells: this.#cells,
      now: 0,
      domains: {
        info: (domid) => (domid === 0 || alive.has(domid) ? { shutdown: false, dying: false } : undefined),
        introduce: () => undefined,
        rebind: () => undefined,
        resetRing: () => undefined,
        release: () => undefined,
        ignored: () => undefined,
      },
    };
    startStore(this.#store, { version, conflicts: chance.of(["observed", "strict"]) });
    this.#admin = connectSocket(this.#store);
    this.#tell(XS.MKDIR, `/local/domain/${INNOCENT}/own\0`);
    for (const path of ["", "/own"])
      this.#tell(XS.SET_PERMS, `/local/domain/${INNOCENT}${path}\0n${INNOCENT}\0`);
    this.#tell(XS.INTRODUCE, `${INNOCENT}\x001\x001\0`);
    this.#innocent = new Innocent(this.#store);
    this.#innocent.check();
    this.#cellsBefore = new Set(cellNames(this.#cells));
    for (const domid of ATTACKERS) this.#attackers.push(this.#domain(domid));
    for (let i = 0; i < SOCKETS; i++) this.#attackers.push(this.#socket());
  }

  #tell(type: number, body: string): void {
    receive(this.#store, this.#admin, encode(type, 1, 0, body));
    take(this.#store, this.#admin);
  }

  #domain(domid: number): Attacker {
    this.#tell(XS.MKDIR, "/r\0");
    this.#tell(XS.SET_PERMS, "/r\0b0\0");
    this.#tell(XS.MKDIR, `/local/domain/${domid}\0`);
    this.#tell(XS.SET_PERMS, `/local/domain/${domid}\0n${domid}\0`);
    this.#tell(XS.INTRODUCE, `${domid}\x001\x001\0`);
    return new Attacker(this.#store, domid, "domain");
  }

  #socket(): Attacker {
    return new Attacker(this.#store, connectSocket(this.#store), "socket");
  }

  step(piece: number): void {
    const index = this.#chance.below(this.#attackers.length);
    const attacker = this.#attackers[index] as Attacker;
    if (!mayRead(this.#cells, attacker.conn)) attacker.take();
    const isOver = !mayRead(this.#cells, attacker.conn) || !attacker.send(this.#chance);
    if (isOver || this.#chance.once(2000)) this.#replace(index, attacker);
    else if (!this.#chance.once(8)) attacker.take();
    if (piece % 100 === 0) this.#innocent.check();
    if (piece % 20_000 === 0) this.#sound();
  }

  /** The attacker is gone, and another one comes. */
  #replace(index: number, attacker: Attacker): void {
    this.#ended++;
    this.#requests += attacker.requests;
    this.#drop(attacker);
    const isDomain = index < ATTACKERS.length;
    if (isDomain) this.#alive.add(attacker.conn);
    this.#attackers[index] = isDomain ? this.#domain(attacker.conn) : this.#socket();
  }

  #drop({ conn }: Attacker): void {
    if (conn > INNOCENT) return disconnect(this.#store, conn);
    this.#alive.delete(conn);
    domainsChanged(this.#store);
  }

  #sound(): void {
    const problems = checkStore(this.#cells);
    if (problems.length > 0) problem(`the store is not sound: ${problems.join("; ")}`);
  }

  /** All attackers go, and with them all that is theirs. */
  end(): Attack {
    for (const attacker of this.#attackers) {
      this.#requests += attacker.requests;
      this.#drop(attacker);
    }
    for (const domid of [4, 8]) this.#alive.delete(domid);
    domainsChanged(this.#store);
    this.#tell(XS.SET_PERMS, "/\0n0\0");
    for (const path of ["/", "/local/domain"]) {
      receive(this.#store, this.#admin, encode(XS.DIRECTORY, 1, 0, `${path}\0`));
      for (const name of take(this.#store, this.#admin)[0]?.body.split("\0").slice(0, -1) ?? [])
        if (!KEPT.has(name)) this.#tell(XS.RM, `${path}/${name}\0`.replace("//", "/"));
    }
    this.#innocent.check();
    this.#sound();
    const left = cellNames(this.#cells).filter((name) => !this.#cellsBefore.has(name) && !mayStay(name));
    if (left.length > 0) problem(`left of attackers that are gone: ${left.join(", ")}`);
    return { requests: this.#requests, checks: this.#innocent.rounds, conversationsEnded: this.#ended };
  }
}
