// SPDX-License-Identifier: Apache-2.0
//
// Feeds what real clients sent to the real C xenstored, in the order in which it
// took it, to ours, and compares every message that went out, in the order in
// which it went out on each connection.

import { readFileSync } from "node:fs";
import { StoreCells } from "../../src/core/xenstore/store-cells.ts";
import {
  connectSocket,
  disconnect,
  domainsChanged,
  type DomainInfo,
  outputLength,
  receive,
  startStore,
  type Store,
  takeOutput,
} from "../../src/core/xenstore/store.ts";
import { encode, HEADER_SIZE, readLatin1, readU32, typeName, XS } from "../../src/core/xenstore/wire.ts";

/** A line of the trace that matters. */
interface Line {
  readonly number: number;
  readonly kind: "IN" | "OUT" | "CREATE" | "DESTROY";
  readonly conn: string;
  readonly type: string;
  readonly body: string;
}

function parseTrace(text: string): Line[] {
  const found: Line[] = [];
  let number = 1;
  let counted = 0;
  const pattern =
    /^ *[\d.]+ (?:(CREATE|DESTROY) connection (\S+)|(IN|OUT) (\S+) \d+ [\d:]+ (\w+) \(([^]*?)\))$/gm;
  for (const match of text.matchAll(pattern)) {
    for (; counted < match.index; counted++) if (text.charCodeAt(counted) === 0x0a) number++;
    const [, life, lifeConn, direction, conn, type, body] = match;
    found.push({
      number,
      kind: (life ?? direction) as Line["kind"],
      conn: lifeConn ?? conn ?? "",
      type: type ?? "",
      body: body ?? "",
    });
  }
  return found;
}

const types = new Map<string, number>(Object.entries(XS));

/** The payload, from a trace that shows NULs as blanks. */
function payloadOf(type: string, body: string): string {
  if (type !== "WRITE") return body.replaceAll(" ", "\0");
  const blank = body.indexOf(" ");
  return `${body.slice(0, blank)}\0${body.slice(blank + 1)}`;
}

/** What a message looks like in the trace. */
function shown(type: number, body: string): string {
  return `${typeName(type)} (${body.replaceAll("\0", " ")})`;
}

/** One difference between what was recorded and what ours did. */
export type Difference = string;

/** A replay in progress. */
class Replay {
  readonly differences: Difference[] = [];
  compared = 0;
  readonly #domains = new Map<number, DomainInfo>();
  readonly #store: Store;
  readonly #conns = new Map<string, number>();
  readonly #rings = new Set<number>();
  /** Open transactions of a connection, in order of their start. */
  readonly #transactions = new Map<string, number[]>();
  readonly #lines: readonly Line[];
  /** The domain whose INTRODUCE is being answered, or -1. */
  #introducing = -1;

  constructor(
    lines: readonly Line[],
    nodes: readonly (readonly [path: string, value: string, perms: string])[],
  ) {
    this.#lines = lines;
    this.#store = {
      cells: new StoreCells(),
      now: 0,
      domains: {
        info: (domid) => (domid === 0 ? { shutdown: false, dying: false } : this.#domains.get(domid)),
        introduce: () => undefined,
        rebind: () => undefined,
        resetRing: () => undefined,
        release: () => undefined,
        ignored: () => undefined,
      },
    };
    startStore(this.#store, { conflicts: "strict" });
    const setup = connectSocket(this.#store);
    for (const [path, value, perms] of nodes) {
      this.#send(setup, XS.WRITE, 0, `${path}\0${value}`);
      this.#send(setup, XS.SET_PERMS, 0, `${path}\0${perms.split(",").join("\0")}\0`);
    }
    disconnect(this.#store, setup);
    for (let domid = 1; domid < 100; domid++) this.#domains.set(domid, { shutdown: false, dying: false });
    for (const conn of earlierConnections(lines)) this.#connectEarlier(conn);
  }

  #send(conn: number, type: number, txId: number, payload: string): void {
    receive(this.#store, conn, encode(type, 1, txId, payload));
  }

  /** Takes the next message of a connection, as the trace would show it. */
  #next(conn: number): string | undefined {
    if (outputLength(this.#store.cells, conn) === 0) return undefined;
    const header = new Uint8Array(HEADER_SIZE);
    takeOutput(this.#store, conn, header, 0, HEADER_SIZE);
    const body = new Uint8Array(readU32(header, 12));
    takeOutput(this.#store, conn, body, 0, body.length);
    return shown(readU32(header, 0), readLatin1(body, 0, body.length));
  }

  /** A connection that was there before the recording began, with its watches. */
  #connectEarlier(name: string): void {
    const conn = connectSocket(this.#store);
    this.#conns.set(name, conn);
    for (const [path, token] of earlierWatches(this.#lines, name)) {
      this.#send(conn, XS.WATCH, 0, `${path}\0${token}\0`);
      this.#next(conn);
      this.#next(conn);
    }
  }

  #in(line: Line): void {
    const conn = this.#conns.get(line.conn) as number;
    const type = types.get(line.type) as number;
    const open = this.#transactions.get(line.conn) ?? [];
    // The trace does not tell transactions apart. A guest's kernel writes these nodes in another thread than the
    // one that has a transaction open at the time.
    const otherThread = line.body.startsWith("control/feature-");
    const outside =
      otherThread || [XS.TRANSACTION_START, XS.WATCH, XS.UNWATCH].some((other) => other === type);
    const txId = outside ? 0 : (open.at(-1) ?? 0);
    if (line.type === "INTRODUCE") this.#introducing = Number.parseInt(line.body, 10);
    this.#send(conn, type, txId, payloadOf(line.type, line.body));
    if (type === XS.TRANSACTION_END) open.pop();
  }

  #out(line: Line): void {
    const conn = this.#conns.get(line.conn) as number;
    const expected = `${line.type} (${line.body})`;
    let actual = this.#next(conn);
    if (actual === undefined && line.body.startsWith("@releaseDomain")) {
      this.#somebodyShutDown();
      actual = this.#next(conn);
    }
    this.compared++;
    if (line.type === "TRANSACTION_START" && actual !== undefined) {
      // Identifiers count on from what happened before the recording.
      const id = Number.parseInt(actual.slice(actual.indexOf("(") + 1), 10);
      this.#transactions.set(line.conn, [...(this.#transactions.get(line.conn) ?? []), id]);
      return;
    }
    if (actual !== expected)
      this.differences.push(`${line.number}: ${line.conn} expected ${expected}, got ${actual}`);
  }

  #somebodyShutDown(): void {
    for (const domid of this.#rings) this.#domains.set(domid, { shutdown: true, dying: false });
    domainsChanged(this.#store);
  }

  run(): void {
    for (const line of this.#lines) {
      if (line.kind === "IN") this.#in(line);
      else if (line.kind === "OUT") this.#out(line);
      else if (line.kind === "CREATE") this.#created(line);
      else this.#destroyed(line);
    }
  }

  #created(line: Line): void {
    if (this.#introducing >= 0) {
      this.#conns.set(line.conn, this.#introducing);
      this.#rings.add(this.#introducing);
      this.#introducing = -1;
      return;
    }
    this.#conns.set(line.conn, connectSocket(this.#store));
  }

  #destroyed(line: Line): void {
    const conn = this.#conns.get(line.conn);
    if (conn === undefined) return;
    this.#conns.delete(line.conn);
    this.#transactions.delete(line.conn);
    if (this.#rings.delete(conn)) {
      this.#domains.set(conn, { shutdown: true, dying: true });
      domainsChanged(this.#store);
    } else disconnect(this.#store, conn);
  }
}

/** Connections that do something without having been made in the recording. */
function earlierConnections(lines: readonly Line[]): Set<string> {
  const made = new Set<string>();
  const earlier = new Set<string>();
  for (const { kind, conn } of lines) {
    if (kind === "CREATE") made.add(conn);
    else if (!made.has(conn)) earlier.add(conn);
  }
  return earlier;
}

/** Watches a connection must have had before the recording began: tokens of events it never asked for in it. */
function earlierWatches(lines: readonly Line[], conn: string): [path: string, token: string][] {
  const asked = new Set<string>();
  const found = new Map<string, string[]>();
  for (const line of lines) {
    if (line.conn !== conn) continue;
    if (line.kind === "CREATE") break;
    if (line.type === "WATCH" && line.kind === "IN") asked.add(line.body.split(" ")[1] as string);
    if (line.type !== "WATCH_EVENT") continue;
    const [path, token] = line.body.split(" ") as [string, string];
    if (asked.has(token)) continue;
    found.set(token, [...(found.get(token) ?? []), path]);
  }
  return [...found].flatMap(([token, paths]) =>
    watchedPaths(paths).map((path): [string, string] => [path, token]),
  );
}

/**
 * The paths that, watched, explain events at all these: special ones themselves,
 * of the kernel's relative ones the first component, else what they have in common.
 */
function watchedPaths(paths: readonly string[]): string[] {
  const special = [...new Set(paths.filter((path) => path.startsWith("@")))];
  const kernels = paths.filter((path) => !/^[@/]/.test(path));
  const relative = [...new Set(kernels.map((path) => path.split("/")[0] as string))];
  const absolute = paths.filter((path) => path.startsWith("/")).map((path) => path.split("/"));
  const [first, ...others] = absolute;
  if (first === undefined) return [...special, ...relative];
  const differs = first.findIndex((part, index) => others.some((other) => other[index] !== part));
  return [...special, ...relative, first.slice(0, differs < 0 ? undefined : differs).join("/")];
}

/** Replays a trace on a store that has these nodes; returns how many messages were compared and which differed. */
export function replayTrace(
  file: string,
  nodes: readonly (readonly [path: string, value: string, perms: string])[],
): { compared: number; differences: Difference[] } {
  const replay = new Replay(parseTrace(readFileSync(file, "latin1")), nodes);
  replay.run();
  return { compared: replay.compared, differences: replay.differences };
}
