// SPDX-License-Identifier: Apache-2.0
//
// The migration stream: its bytes, and that a store that takes over from another
// by way of it cannot be told from it.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoreCells } from "./store-cells.ts";
import { checkStore } from "./check.ts";
import { connectionType, FIRST_SOCKET } from "./connection.ts";
import { prepareStore, receive, type StoreOptions } from "./store.ts";
import { isStreamProblem, type StreamRecord, type WatchLayout } from "./stream.ts";
import { StreamReader } from "./stream-decode.ts";
import { encodeStream, type StreamFormat } from "./stream-encode.ts";
import { type Loaded, loadStream } from "./stream-load.ts";
import { saveStore } from "./stream-save.ts";
import { type RequestName, TestClient, type TestStore, testStore } from "./test-client.ts";
import { encode, XS } from "./wire.ts";

const v2: StreamFormat = { version: 2, layout: "document" };

function decode(bytes: Uint8Array, layout: WatchLayout = "document"): StreamRecord[] | string {
  const reader = StreamReader.open(bytes, layout);
  if (isStreamProblem(reader)) return `${reader.offset}: ${reader.problem}`;
  const records: StreamRecord[] = [];
  for (;;) {
    const record = reader.next();
    if (record === "end") return records;
    if (isStreamProblem(record)) return `${record.offset}: ${record.problem}`;
    records.push(record);
  }
}

/** A store that has what the stream says; domains 1 to 9 exist. */
function load(bytes: Uint8Array, options: StoreOptions = {}): { store: TestStore; loaded: Loaded } {
  const reader = StreamReader.open(bytes, "document");
  if (isStreamProblem(reader)) throw new Error(reader.problem);
  const store = testStore(options, new StoreCells(), prepareStore);
  const loaded = loadStream(store, reader);
  if (isStreamProblem(loaded)) throw new Error(`${loaded.offset}: ${loaded.problem}`);
  return { store, loaded };
}

const byteText = (max: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength: max }).map((bytes) => String.fromCharCode(...bytes));
const text = fc.stringMatching(/^[a-z/@-]{1,20}$/);
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const quotas = fc.array(fc.tuple(text, u32), { maxLength: 4 });
const anyRecord = fc.oneof(
  fc.record({
    type: fc.constant("global"),
    socketFd: fc.integer({ min: -1, max: 99 }),
    evtchnFd: fc.constant(-1),
  }),
  fc
    .record({
      type: fc.constant("connection"),
      connId: u32,
      spec: fc.oneof(
        fc.record({ kind: fc.constant("ring"), domid: u16, target: fc.option(fc.constant(7)), evtchn: u32 }),
        fc.record({ kind: fc.constant("socket"), fd: fc.integer({ min: -1, max: 1000 }) }),
      ),
      input: fc.uint8Array({ maxLength: 40 }),
      output: fc.uint8Array({ maxLength: 40 }),
      partial: fc.integer({ min: 0, max: 40 }),
      uniqueId: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    })
    .map((record) => ({ ...record, partial: Math.min(record.partial, record.output.length) })),
  fc.record({
    type: fc.constant("watch"),
    connId: u32,
    path: text,
    token: fc.stringMatching(/^[ -~]{0,20}$/),
    depth: fc.integer({ min: -1, max: 0xfffe }),
  }),
  fc.record({ type: fc.constant("transaction"), connId: u32, txId: u32 }),
  fc.record({
    type: fc.constant("node"),
    connId: u32,
    txId: u32,
    path: text,
    value: byteText(30),
    access: fc.integer({ min: 0, max: 3 }),
    perms: fc.array(
      fc.record({ letter: fc.constantFrom("n", "r", "w", "b"), domid: u16, stale: fc.boolean() }),
      { maxLength: 4 },
    ),
  }),
  fc.record({ type: fc.constant("global-quota"), perDomain: quotas, global: quotas }),
  fc.record({ type: fc.constant("domain"), domid: u16, features: u32, quotas }),
  fc.record({
    type: fc.constant("own"),
    kind: text,
    body: fc.record({ text: byteText(9), list: fc.array(u32) }),
  }),
) as fc.Arbitrary<StreamRecord>;
const anyFormat = fc.record({
  version: fc.constant(2 as const),
  layout: fc.constantFrom("document" as const, "head" as const),
  endian: fc.constantFrom("little" as const, "big" as const),
});

describe("bytes", () => {
  test("what is written is read, in both byte orders and layouts", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 8 }), anyFormat, (records, format) => {
        expect(decode(encodeStream(records, format), format.layout)).toEqual(records);
      }),
      { numRuns: 300 },
    );
  });

  test("version 1 has no depths and no features", () => {
    const bytes = encodeStream(
      [
        { type: "watch", connId: 1, path: "/a", token: "t", depth: 2 },
        { type: "domain", domid: 3, features: 14, quotas: [] },
      ],
      { version: 1, layout: "document" },
    );
    expect(decode(bytes)).toEqual([
      { type: "watch", connId: 1, path: "/a", token: "t", depth: -1 },
      { type: "domain", domid: 3, features: 0, quotas: [] },
    ]);
  });

  test("fields lie where the document has them", () => {
    const bytes = encodeStream([{ type: "watch", connId: 1, path: "/a", token: "t", depth: 2 }], v2);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "78656e73746f72650000000200000000" + // "xenstore", version 2, flags 0
        "0800000018000000" + // WATCH_DATA_EXTENDED, 24 bytes
        "010000000300020002000000" + // conn-id, wpath-len, token-len, depth, pad
        "2f6100740000000000000000" + // path, token, padding
        "0000000000000000", // END
    );
  });

  test("a watch with a depth as HEAD's dump_state_watches writes it: no depth, and a length that lies", () => {
    const lying = encodeStream([{ type: "watch", connId: 1, path: "/ab", token: "tk", depth: 2 }], {
      version: 2,
      layout: "head",
    });
    // xs_state_watch's 8 bytes, the path at once, aligned to 8; the length still that of the larger struct.
    const head = lying.slice(0, 16 + 8 + 8);
    const strings = Uint8Array.from("/ab\0tk\0\0", (c) => c.charCodeAt(0));
    const node = encodeStream([{ type: "transaction", connId: 1, txId: 2 }], v2).slice(16);
    const bytes = Uint8Array.from([...head, ...strings, ...node]);
    expect(decode(bytes, "head")).toEqual([
      { type: "watch", connId: 1, path: "/ab", token: "tk", depth: -1 },
      { type: "transaction", connId: 1, txId: 2 },
    ]);
    expect(decode(bytes, "document")).toMatch(/^16: /);
  });

  test("cut short or damaged anywhere, a stream is refused with an offset or read, never more", () => {
    const bytes = readFileSync(recording);
    for (let end = 0; end < bytes.length - 8; end++) {
      expect(decode(bytes.subarray(0, end))).toMatch(/^\d+: /);
    }
    fc.assert(
      fc.property(
        fc.array(anyRecord, { maxLength: 5 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (records, at, flip) => {
          const damaged = encodeStream(records, v2);
          const index = at % damaged.length;
          damaged[index] = (damaged[index] as number) ^ flip;
          const store = testStore({}, new StoreCells(), prepareStore);
          const reader = StreamReader.open(damaged, "document");
          if (!isStreamProblem(reader)) loadStream(store, reader);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

const recording = new URL("../../../test/conformance/streams/xenstored-4.17.bin", import.meta.url);

describe("a stream that the C xenstored of Xen 4.17 wrote", () => {
  test("has all its nodes, domains, watches, and what was under way", () => {
    const { store, loaded } = load(readFileSync(recording));
    expect(checkStore(store.cells)).toEqual([]);
    expect(loaded.global).toEqual({ type: "global", socketFd: 3, evtchnFd: 6 });
    expect(loaded.sockets.map(({ fd }) => fd)).toEqual([8, 9, 11, 12]);
    expect(store.calls).toEqual(["introduce 5", "introduce 6"]);
    const [control, watcher, half, slow] = loaded.sockets.map(({ conn }) => new TestClient(store, conn));
    if (!control || !watcher || !half || !slow) throw new Error("no four sockets");
    // The answer to the live update itself.
    expect(control.take()).toEqual(["CONTROL OK|"]);
    expect(slow.take().map((event) => event.slice(0, 18))).toEqual(
      ["/f/1", "/f/2", "/f/3", "/f/4", "/f/5", "/f/0"].map((path) => `WATCH_EVENT ${path}|T`),
    );
    expect(control.ask("DIRECTORY", "/|")).toBe("tool|vm|local|f|");
    expect(control.ask("READ", "/vm/one/bin|")).toBe("|\u0001\u00ff\u00fe");
    expect(control.ask("GET_PERMS", "/local/domain/5/data/x|")).toBe("b5|w7|n6|");
    // 7 was released: its entry is listed and has no effect, though another 7 comes.
    const seven = TestClient.ofDomain(store, 7);
    expect(control.ask("GET_PERMS", "/local/domain/5|")).toBe("n5|r0|r7|");
    expect(seven.ask("READ", "/local/domain/5|")).toBe("EACCES");
    expect(watcher.take()).toEqual(["WATCH_EVENT @introduceDomain|@i|"]);
    control.ask("WRITE", "/vm/one/name|new");
    expect(watcher.take()).toEqual(["WATCH_EVENT /vm/one/name|tok en|"]);
    // 6 acts for 5, which owns the node.
    expect(new TestClient(store, 6).ask("WRITE", "/local/domain/5/data/x|6")).toBe("OK|");
    // The rest of a request that came in half.
    const rest = encode(XS.WRITE, 1, 0, "/half/written\0value").slice(20);
    receive(store, half.conn, Uint8Array.from([...(loaded.input.get(half.conn) ?? []), ...rest]));
    expect(half.take()).toEqual(["WRITE OK|"]);
    expect(control.ask("READ", "/half/written|")).toBe("value");
  });

  test("is written again as it was, but for what this process has of its own", () => {
    const bytes = readFileSync(recording);
    const { store, loaded } = load(bytes);
    const fds = new Map(loaded.sockets.map(({ conn, fd }) => [conn, fd]));
    const again = [
      ...saveStore(store.cells, {
        socketFd: 3,
        fdOf: (conn) => fds.get(conn) as number,
        unread: (conn) => loaded.input.get(conn) ?? new Uint8Array(0),
        portOf: (domid) => loaded.ports.get(domid) ?? 0,
        own: false,
      }),
    ];
    const inOrder = (records: readonly StreamRecord[]): unknown[] => {
      const kept = records.filter(({ type }) => !/^(global|global-quota|domain)$/.test(type));
      const key = (record: StreamRecord): string =>
        record.type === "connection" ? JSON.stringify(record.spec) : "path" in record ? record.path : "";
      return kept.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)).map((record) => ({ ...record, connId: 0 }));
    };
    expect(inOrder(again)).toEqual(inOrder(decode(bytes) as StreamRecord[]));
  });
});

/** One thing that may happen to a store. */
interface Happening {
  readonly who: number;
  readonly request: RequestName;
  readonly path: string;
  readonly value: string;
  readonly inTransaction: boolean;
  readonly take: boolean;
}

const paths = ["/", "/a", "/b", "/a/a", "/a/b", "/a/a/a", "/local/domain/1", "/local/domain/1/d", "d", "d/e"];
const happening: fc.Arbitrary<Happening> = fc.record({
  who: fc.nat(3),
  request: fc.constantFrom<RequestName>(
    "READ",
    "DIRECTORY",
    "GET_PERMS",
    "MKDIR",
    "RM",
    "WRITE",
    "WRITE",
    "SET_PERMS",
    "WATCH",
    "UNWATCH",
    "TRANSACTION_START",
    "TRANSACTION_START",
    "TRANSACTION_END",
    "INTRODUCE",
    "RELEASE",
    "SET_TARGET",
    "CONTROL",
  ),
  path: fc.constantFrom(...paths),
  value: fc.constantFrom("", "1", "2"),
  inTransaction: fc.boolean(),
  take: fc.boolean(),
});

function payloadOf({ request, path, value }: Happening): string {
  switch (request) {
    case "WRITE":
      return `${path}|${value}`;
    case "SET_PERMS":
      return `${path}|n${value === "" ? 0 : value}|r2|w1|`;
    case "WATCH":
    case "UNWATCH":
      return `${value === "2" ? "@releaseDomain" : path}|t${value}|`;
    case "TRANSACTION_START":
      return "|";
    case "TRANSACTION_END":
      return value === "" ? "F|" : "T|";
    case "INTRODUCE":
      return `${value === "" ? 2 : value}|1|1|`;
    case "RELEASE":
      return `${value === "" ? 2 : value}|`;
    case "SET_TARGET":
      return "2|1|";
    case "CONTROL":
      return value === "" ? "quota|set|nodes|50|" : "quota|";
    default:
      return `${path}|`;
  }
}

/** Two sockets, then domains 1 and 2 where they are introduced. */
function clientsOf(store: TestStore): (TestClient | undefined)[] {
  return [FIRST_SOCKET, FIRST_SOCKET + 1, 1, 2].map((conn) =>
    store.cells.get(connectionType, conn) === undefined ? undefined : new TestClient(store, conn),
  );
}

/** Makes things happen; what every client gets, in order. `ids` are the open transactions' of each. */
function happen(store: TestStore, happenings: readonly Happening[], ids: number[][]): string[] {
  const told: string[] = [];
  for (const what of happenings) {
    const client = clientsOf(store)[what.who];
    if (client === undefined) continue;
    const open = ids[what.who] as number[];
    const ends = what.request === "TRANSACTION_END";
    const txId = what.inTransaction || ends ? (open.at(-1) ?? 0) : 0;
    client.send(what.request, payloadOf(what), txId);
    if (ends) open.pop();
    if (!what.take && what.request !== "TRANSACTION_START") continue;
    for (const message of client.take()) {
      told.push(`${what.who} ${message}`);
      const started = /^TRANSACTION_START (\d+)/.exec(message)?.[1];
      if (started !== undefined) open.push(Number(started));
    }
  }
  return told;
}

/** Without the numbers of incarnations within transactions: those of stale entries may be others. */
function plain(records: unknown[]): unknown {
  return JSON.parse(JSON.stringify(records).replaceAll(/([nrwb]\d+):\d+/g, "$1"));
}

function everything(store: TestStore): unknown[] {
  return [...saveStore(store.cells, { own: true })];
}

describe("taking over", () => {
  test("whatever happens before and after, nobody can tell that another xenstored answers", () => {
    let transactions = 0;
    let outputs = 0;
    fc.assert(
      fc.property(
        fc.array(happening, { minLength: 10, maxLength: 40 }),
        fc.array(happening, { minLength: 5, maxLength: 30 }),
        fc.constantFrom<StoreOptions>({}, { conflicts: "strict" }, { version: "4.23" }),
        (before, after, options) => {
          const first = testStore(options);
          const toolstack = new TestClient(first);
          void new TestClient(first);
          for (const domid of [1, 2]) toolstack.ask("INTRODUCE", `${domid}|1|1|`);
          const ids: number[][] = [[], [], [], []];
          happen(first, before, ids);
          const records = everything(first) as StreamRecord[];
          const { store: second, loaded } = load(encodeStream(records, v2), options);
          expect(loaded.ignored).toEqual(new Set());
          expect(everything(second)).toEqual(records);
          expect(checkStore(second.cells)).toEqual([]);
          transactions += records.filter(({ type }) => type === "transaction").length;
          outputs += records.filter(
            (record) => record.type === "connection" && record.output.length > 0,
          ).length;
          const secondIds = ids.map((open) => [...open]);
          expect(happen(second, after, secondIds)).toEqual(happen(first, after, ids));
          expect(plain(everything(second))).toEqual(plain(everything(first)));
        },
      ),
      { numRuns: 400 },
    );
    expect(transactions).toBeGreaterThan(100);
    expect(outputs).toBeGreaterThan(100);
  });
});
