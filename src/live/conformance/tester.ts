// SPDX-License-Identifier: Apache-2.0
//
// Plays a case to a xenstored.

import { XS, typeName } from "../../core/xenstore/wire.ts";
import {
  type DomainFileState,
  EventFile,
  prepareDomainFiles,
  RingFile,
  setDomainState,
  VIRQ_PORT,
} from "../xenstored/domain-files.ts";
import { acceptable, type Case, isAcceptable, payloadOf, type Profile, shown } from "./case.ts";
import { type Connection, type Message, RingConnection, SocketConnection } from "./connections.ts";

/** How long an answer may take, and how long silence is listened to. */
const ANSWER_MS = 3_000;
const SILENCE_MS = 150;
/**
 * A transaction may be refused so often within so long. Slower tries say nothing: oxenstored forgives whom it
 * holds back once in 50 ms, and forgets after that time who made others fail (conflict_max_history_seconds),
 * so that it does not protect a client that takes its time, as all do where the processors are busy.
 */
const TRIES_MAX = 100;
const TRIES_MS = 2_000;
/** After that even a slow one has failed. */
const REFUSED_MS = 60_000;

/** What a case is played to. */
export interface Target {
  readonly socketPath: string;
  /** The folder of its domains, where it has one. */
  readonly domains: string | undefined;
  readonly profile: Profile;
}

/** A line, and what was answered. */
export interface Answered {
  readonly line: string;
  readonly answer: string;
  /** What would have been right; undefined where it was. */
  readonly wrong?: string;
}

const LINE = /^([A-Z]|d\d+) ([a-zA-Z_]+|\d+)(?:#(\w+))?(?: (.*?))??(?: => (.*))?$/s;

/** One play of a case. Call `close` after it. */
export class Tester {
  readonly #target: Target;
  readonly #root: string;
  readonly #connections = new Map<string, Connection>();
  readonly #heard = new Map<string, string[]>();
  readonly #transactions = new Map<string, number>();
  readonly #domids = new Set<number>();
  #events: EventFile | undefined;
  readonly answered: Answered[] = [];

  /** @param root the path of the case's own node */
  constructor(target: Target, root: string) {
    this.#target = target;
    this.#root = root;
  }

  /** Plays the case up to the first line that is not answered as it should be; whether all were. */
  async play({ lines }: Case): Promise<boolean> {
    for (const line of lines) {
      const match = LINE.exec(line);
      if (match === null) throw new Error(`not a line of a case: ${line}`);
      const [, who = "", verb = "", tx, rest = "", expected = ""] = match;
      const right = expected === "" ? impliedBy(verb, rest) : acceptable(expected, this.#target.profile);
      const answer = await this.#perform(who, verb, tx, rest, right?.includes("none") ?? false);
      if (right === undefined || isAcceptable(answer, right)) this.answered.push({ line, answer });
      else {
        this.answered.push({ line, answer, wrong: right.join(" or ") });
        return false;
      }
    }
    return true;
  }

  #perform(
    who: string,
    verb: string,
    tx: string | undefined,
    rest: string,
    silent: boolean,
  ): Promise<string> {
    switch (verb) {
      case "begin":
        return this.#begin(who, rest);
      case "commit":
      case "abort":
        return this.#ask(who, XS.TRANSACTION_END, rest, verb === "commit" ? "T\0" : "F\0", silent);
      case "hears":
        return this.#hears(who);
      case "gets":
        return this.#gets(who, rest);
      case "sends":
        return this.#sends(who, rest);
      case "is":
        return this.#is(who, rest);
      case "transacts":
        return this.#transacts(who, payloadOf(rest, this.#root));
      case "producer":
      case "error":
      case "reads":
      case "floods":
        return this.#ring(who, verb, rest);
      default:
        return this.#ask(who, typeOf(verb), tx, payloadOf(rest, this.#root), silent);
    }
  }

  async #connection(who: string): Promise<Connection> {
    const known = this.#connections.get(who);
    if (known !== undefined) return known;
    const connection = who.startsWith("d")
      ? this.#openRing(Number(who.slice(1)))
      : await SocketConnection.open(this.#target.socketPath);
    this.#connections.set(who, connection);
    this.#heard.set(who, []);
    return connection;
  }

  #openRing(domid: number): RingConnection {
    const dir = this.#target.domains as string;
    return new RingConnection(dir, domid, this.#eventFile());
  }

  #eventFile(): EventFile {
    if (this.#events === undefined) {
      prepareDomainFiles(this.#target.domains as string);
      this.#events = new EventFile(this.#target.domains as string, "evtchn");
    }
    return this.#events;
  }

  /** The answer to a request: an error's name, or the payload; `none`, or `closed`. Events are kept. */
  async #ask(
    who: string,
    type: number,
    tx: string | undefined,
    body: string,
    silent: boolean,
  ): Promise<string> {
    const connection = await this.#connection(who);
    const txId = tx === undefined ? 0 : (this.#transactions.get(`${who} ${tx}`) ?? Number(tx));
    const reqId = connection.request(type, txId, body);
    for (;;) {
      const message = await connection.next(silent ? SILENCE_MS : ANSWER_MS);
      if (message === undefined) return connection.closed ? "closed" : "none";
      if (message.type === XS.WATCH_EVENT) this.#keep(who, message);
      else if (message.reqId === reqId) return this.#show(message);
    }
  }

  #keep(who: string, { body }: Message): void {
    (this.#heard.get(who) as string[]).push(shown(body, this.#root));
  }

  #show({ type, body }: Message): string {
    return type === XS.ERROR ? body.replace(/\0$/, "") : shown(body, this.#root);
  }

  async #begin(who: string, name: string): Promise<string> {
    const answer = await this.#ask(who, XS.TRANSACTION_START, undefined, "\0", false);
    this.#transactions.set(`${who} ${name}`, Number.parseInt(answer, 10) || 0);
    return answer;
  }

  /** The events so far: whatever was queued before comes before the answer to a new request. */
  async #hears(who: string): Promise<string> {
    const last = await this.#ask(who, XS.GET_DOMAIN_PATH, undefined, "0\0", false);
    if (last === "closed" || last === "none") return last;
    const heard = this.#heard.get(who) as string[];
    const all = heard.length === 0 ? "nothing" : heard.join(", ");
    heard.length = 0;
    return all;
  }

  /** Everything a request brings, up to the answer to one behind it. */
  async #gets(who: string, rest: string): Promise<string> {
    const [, verb = "", tx, payload = ""] = /^(\w+)(?:#(\w+))?(?: (.*))?$/s.exec(rest) ?? [];
    const connection = await this.#connection(who);
    const txId = tx === undefined ? 0 : (this.#transactions.get(`${who} ${tx}`) ?? Number(tx));
    if (verb === "commit")
      connection.request(XS.TRANSACTION_END, this.#transactions.get(`${who} ${payload}`) ?? 0, "T\0");
    else connection.request(typeOf(verb), txId, payloadOf(payload, this.#root));
    const last = connection.request(XS.GET_DOMAIN_PATH, 0, "0\0");
    const found: string[] = [];
    for (;;) {
      const message = await connection.next(ANSWER_MS);
      if (message === undefined) return [...found, connection.closed ? "closed" : "none"].join(", ");
      if (message.type !== XS.WATCH_EVENT && message.reqId === last) return found.join(", ");
      found.push(`${typeName(message.type)} ${this.#show(message)}`);
    }
  }

  /** Reads a node in a transaction, writes another beside it, and commits: until that is done, so often and no more. */
  async #transacts(who: string, path: string): Promise<string> {
    const until = performance.now() + REFUSED_MS;
    let refusals: number[] = [];
    while (refusals.length < TRIES_MAX && performance.now() < until) {
      const begun = await this.#begin(who, "T");
      const read = await this.#ask(who, XS.READ, "T", `${path}\0`, false);
      const answers = await this.#askAll(who, this.#transactions.get(`${who} T`) as number, [
        [XS.WRITE, `${path}-seen\0${read}`],
        [XS.TRANSACTION_END, "T\0"],
      ]);
      const done = answers.at(-1);
      if (done === "OK|") return "committed";
      if (done !== "EAGAIN") return [begun, read, ...answers].join(", ");
      const now = performance.now();
      refusals = [...refusals.filter((at) => now - at < TRIES_MS), now];
    }
    return `refused ${refusals.length} times in ${TRIES_MS / 1000} s`;
  }

  /** Answers to requests of one transaction that are sent at once, up to the one that does not come. */
  async #askAll(
    who: string,
    txId: number,
    asked: readonly (readonly [type: number, body: string])[],
  ): Promise<string[]> {
    const connection = await this.#connection(who);
    const ids = connection.requests(txId, asked);
    const answers: string[] = [];
    while (answers.length < ids.length) {
      const message = await connection.next(ANSWER_MS);
      if (message === undefined) return [...answers, connection.closed ? "closed" : "none"];
      if (message.type === XS.WATCH_EVENT) this.#keep(who, message);
      else if (message.reqId === ids[answers.length]) answers.push(this.#show(message));
    }
    return answers;
  }

  async #sends(who: string, rest: string): Promise<string> {
    const connection = await this.#connection(who);
    connection.write(Buffer.from(payloadOf(rest, this.#root), "latin1"));
    return "sent";
  }

  async #is(who: string, what: string): Promise<string> {
    if (who.startsWith("d")) {
      const domid = Number(who.slice(1));
      this.#domids.add(domid);
      this.#become(domid, what as DomainFileState);
      return what;
    }
    const connection = await this.#connection(who);
    if (what === "closed") {
      for (const until = performance.now() + ANSWER_MS; !connection.closed && performance.now() < until;)
        await connection.next(50);
    } else await connection.next(SILENCE_MS);
    return connection.closed ? "closed" : "open";
  }

  #become(domid: number, state: DomainFileState): void {
    const events = this.#eventFile();
    if (state === "absent") this.#forget(domid);
    setDomainState(this.#target.domains as string, domid, state);
    events.raise(VIRQ_PORT);
  }

  /** The next domain with this domid has a page of its own: an empty one. */
  #forget(domid: number): void {
    this.#connections.get(`d${domid}`)?.close();
    this.#connections.delete(`d${domid}`);
    const page = new RingFile(this.#target.domains as string, domid);
    page.write(0, new Uint8Array(4096));
    page.close();
  }

  async #ring(who: string, verb: string, rest: string): Promise<string> {
    const ring = (await this.#connection(who)) as RingConnection;
    if (verb === "producer") ring.setProducer(Number(rest));
    else if (verb === "floods" && rest === "off") await ring.calm(ANSWER_MS);
    else if (verb === "floods") ring.flood(payloadOf(rest, this.#root));
    else if (verb === "reads") ring.reads = rest === "on";
    else {
      for (const until = performance.now() + ANSWER_MS; ring.error === 0 && performance.now() < until;)
        await ring.next(10);
      return String(ring.error);
    }
    return rest;
  }

  /** Takes away what the case has left: connections, domains, its node. Rejects where nobody answers any more. */
  async close(): Promise<void> {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
    try {
      for (const domid of this.#domids) this.#become(domid, "absent");
      await this.#cleanUp();
    } finally {
      this.#connections.get("Z")?.close();
      this.#events?.close();
    }
  }

  async #cleanUp(): Promise<void> {
    await this.#ask("Z", XS.RM, undefined, `${this.#root}\0`, false);
    for (const domid of this.#domids) await this.#ask("Z", XS.RELEASE, undefined, `${domid}\0`, false);
    for (const domid of this.#domids)
      await this.#ask("Z", XS.RM, undefined, `/local/domain/${domid}\0`, false);
  }
}

/** What a line without `=>` says is right. */
function impliedBy(verb: string, rest: string): readonly string[] {
  if (verb === "begin") return ["~\\d+\\|"];
  if (verb === "sends") return ["sent"];
  if (verb === "transacts") return ["committed"];
  return ["hears", "is", "producer", "error", "reads", "floods"].includes(verb) ? [rest] : ["any"];
}

function typeOf(verb: string): number {
  const type = /^\d+$/.test(verb) ? Number(verb) : (XS as { readonly [name: string]: number })[verb];
  if (type === undefined) throw new Error(`no such request: ${verb}`);
  return type;
}
