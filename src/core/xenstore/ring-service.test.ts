// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from "vitest";
import type { RingSetup } from "./ports.ts";
import {
  clientRead,
  clientRoom,
  clientWrite,
  connectionState,
  requestReconnect,
  RING_SIZE,
  ringError,
  type RingPage,
  serverFeatures,
  setRingError,
  setServerFeatures,
} from "./ring.ts";
import { type Ring, serveRing } from "./ring-service.ts";
import { type StoreOptions } from "./store.ts";
import { TestClient, testStore } from "./test-client.ts";
import { FEATURE_ERROR, FEATURE_RECONNECTION } from "./version.ts";
import { encode, parse, readLatin1, typeName, writeU32, XS } from "./wire.ts";

/** Domain 1 on a ring of its own, and the toolstack. */
class RingGuest {
  readonly store;
  readonly toolstack;
  readonly bytes = new Uint8Array(4096);
  notified = 0;
  #received = new Uint8Array(0);
  #reqId = 0;

  constructor(options: StoreOptions = {}, start = 0) {
    const store = testStore(options);
    this.store = {
      ...store,
      now: 0,
      domains: {
        ...store.domains,
        introduce: (_domid: number, _gfn: number, _port: number, { features }: RingSetup) => {
          if (features !== null) setServerFeatures(this.page, features);
          return undefined;
        },
        ignored: (_domid: number, error: number | null) => {
          if (error !== null) setRingError(this.page, error);
        },
      },
    };
    this.toolstack = new TestClient(this.store);
    this.toolstack.ask("INTRODUCE", "1|1|1|");
    for (const offset of [2048, 2052, 2056, 2060]) writeU32(this.bytes, offset, start);
  }

  readonly page: RingPage = {
    read: (offset, length) => this.bytes.slice(offset, offset + length),
    write: (offset, data) => this.bytes.set(data, offset),
  };
  readonly ring: Ring = { page: this.page, notify: () => void this.notified++ };

  request(type: keyof typeof XS, payload: string): Uint8Array {
    return encode(XS[type], ++this.#reqId, 0, payload.replaceAll("|", "\0"));
  }

  /** Serves until there is nothing more to do; how many turns that took. */
  serve(): number {
    let turns = 1;
    while (serveRing(this.store, 1, this.ring)) turns++;
    return turns;
  }

  /** Takes what is in the ring; whole messages as text. */
  take(): string[] {
    const taken = clientRead(this.page) as Uint8Array;
    const all = new Uint8Array([...this.#received, ...taken]);
    const found: string[] = [];
    let at = 0;
    for (let parsed = parse(all, at); parsed.state === "packet"; parsed = parse(all, at)) {
      found.push(
        `${typeName(parsed.type)} ${readLatin1(all, parsed.start, parsed.end).replaceAll("\0", "|")}`,
      );
      at = parsed.end;
    }
    this.#received = all.slice(at);
    return found;
  }
}

describe("a domain's ring", () => {
  test.each([0, 1000, 1023, 2 ** 32 - 7])("requests one at a time, from index %i on", (start) => {
    const guest = new RingGuest({}, start);
    for (let i = 0; i < 40; i++) {
      clientWrite(guest.page, guest.request("GET_DOMAIN_PATH", `${i}|`));
      clientWrite(guest.page, guest.request("GET_DOMAIN_PATH", `${i}|`));
      expect(guest.serve()).toBe(2);
      expect(guest.take()).toEqual(Array(2).fill(`GET_DOMAIN_PATH /local/domain/${i}|`));
    }
  });

  test("an exactly full ring", () => {
    const guest = new RingGuest();
    const request = guest.request("READ", `${"x".repeat(RING_SIZE - 17)}|`);
    expect(request).toHaveLength(RING_SIZE);
    expect(clientWrite(guest.page, request)).toBe(RING_SIZE);
    expect(clientRoom(guest.page)).toBe(0);
    guest.serve();
    expect(guest.take()).toEqual(["ERROR EACCES|"]);
    expect(clientRoom(guest.page)).toBe(RING_SIZE);
  });

  test("a request a byte at a time", () => {
    const guest = new RingGuest();
    for (const byte of guest.request("GET_DOMAIN_PATH", "7|")) {
      clientWrite(guest.page, Uint8Array.of(byte));
      expect(guest.serve()).toBe(1);
    }
    expect(guest.take()).toEqual(["GET_DOMAIN_PATH /local/domain/7|"]);
  });

  test("a request and a reply that do not fit into the ring", () => {
    const guest = new RingGuest();
    const { toolstack } = guest;
    toolstack.ask("WRITE", `/long|${"v".repeat(4000)}`);
    toolstack.ask("SET_PERMS", "/long|r0|");
    clientWrite(guest.page, guest.request("READ", "/long|"));
    guest.serve();
    const found: string[] = [];
    for (let turns = 0; turns < 5; turns++) {
      found.push(...guest.take());
      guest.serve();
    }
    expect(found).toEqual([`READ ${"v".repeat(4000)}`]);
    let rest = guest.request("WRITE", `/local/domain/1/x|${"v".repeat(3000)}`);
    while (rest.length > 0) {
      rest = rest.slice(clientWrite(guest.page, rest) as number);
      guest.serve();
    }
    expect(guest.take()).toEqual(["ERROR EACCES|"]);
  });

  test("while it may not be read, its requests stay in the ring", () => {
    const guest = new RingGuest();
    guest.toolstack.ask("CONTROL", "quota|set|outstanding|1|");
    guest.toolstack.ask("WRITE", `/long|${"v".repeat(900)}`);
    guest.toolstack.ask("SET_PERMS", "/long|r0|");
    const request = guest.request("READ", "/long|");
    for (let i = 0; i < 3; i++) clientWrite(guest.page, request);
    guest.serve();
    expect(clientRoom(guest.page)).toBe(RING_SIZE - request.length);
    expect(guest.take()).toHaveLength(1);
    guest.serve();
    expect(clientRoom(guest.page)).toBe(RING_SIZE);
    expect(guest.take()).toHaveLength(1);
    guest.serve();
    expect(guest.take()).toHaveLength(1);
  });

  test.each([
    ["requests", 2052],
    ["replies", 2060],
  ])("impossible indices of the %s end the conversation, and nothing else", (which, producer) => {
    const guest = new RingGuest();
    guest.toolstack.all("WATCH", "@releaseDomain|t|");
    writeU32(guest.bytes, producer, 5000);
    if (which === "replies") clientWrite(guest.page, guest.request("GET_DOMAIN_PATH", "1|"));
    guest.serve();
    expect(ringError(guest.page)).toBe(2);
    clientWrite(guest.page, guest.request("GET_DOMAIN_PATH", "1|"));
    guest.serve();
    expect(guest.toolstack.all("READ", "/none|")).toEqual(["ERROR ENOENT|"]);
  });

  test.each([
    ["too long", 4097],
    ["2^31", 2 ** 31],
    ["2^32 - 1", 2 ** 32 - 1],
  ])("a length that is %s", (_what, length) => {
    const guest = new RingGuest();
    const header = guest.request("READ", "");
    writeU32(header, 12, length);
    clientWrite(guest.page, header);
    guest.serve();
    expect(ringError(guest.page)).toBe(3);
  });
});

describe("features", () => {
  test("4.17 tells of none, yet of errors", () => {
    const guest = new RingGuest();
    expect(serverFeatures(guest.page)).toBe(0);
    requestReconnect(guest.page);
    guest.serve();
    expect(connectionState(guest.page)).toBe(1);
  });

  test("4.23 tells, and of errors only a domain that has the feature", () => {
    expect(serverFeatures(new RingGuest({ version: "4.23" }).page)).toBe(14);
    const guest = new RingGuest({ version: "4.23", features: 0 });
    writeU32(guest.bytes, 2052, 5000);
    guest.serve();
    expect(ringError(guest.page)).toBe(0);
  });

  test("a domain that asks in its page gets a fresh connection where that is offered", () => {
    const guest = new RingGuest({ features: FEATURE_ERROR + FEATURE_RECONNECTION });
    expect(serverFeatures(guest.page)).toBe(3);
    clientWrite(guest.page, guest.request("WATCH", "/x|t|"));
    clientWrite(guest.page, guest.request("TRANSACTION_START", "|"));
    guest.serve();
    expect(guest.take()).toHaveLength(3);
    const half = guest.request("READ", "/x|").slice(0, 18);
    clientWrite(guest.page, half);
    guest.serve();
    requestReconnect(guest.page);
    const before = guest.notified;
    guest.serve();
    expect(guest.notified).toBe(before + 1);
    expect(connectionState(guest.page)).toBe(0);
    expect([...guest.bytes.subarray(0, 4)]).toEqual([255, 255, 255, 255]);
    expect(clientRoom(guest.page)).toBe(RING_SIZE);
    guest.toolstack.ask("WRITE", "/x|1");
    clientWrite(guest.page, guest.request("TRANSACTION_START", "|"));
    guest.serve();
    expect(guest.take()).toEqual(["TRANSACTION_START 1|"]);
  });
});
