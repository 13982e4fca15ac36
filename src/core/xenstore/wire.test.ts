// SPDX-License-Identifier: Apache-2.0

import fc from "fast-check";
import { expect, test } from "vitest";
import { mayRead, outputLength, receive, takeOutput } from "./store.ts";
import { TestClient, testStore } from "./test-client.ts";
import { encode, HEADER_SIZE, parse, PAYLOAD_MAX, readLatin1, writeLatin1, XS } from "./wire.ts";

const latin1 = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)),
  maxLength: 200,
});
const u32 = fc.integer({ min: 0, max: 0xffffffff });

test("what is encoded is parsed again, whatever is around it", () => {
  fc.assert(
    fc.property(u32, u32, u32, latin1, latin1, (type, reqId, txId, body, before) => {
      const bytes = new Uint8Array([...encode(0, 0, 0, before), ...encode(type, reqId, txId, body), 1, 2]);
      const at = HEADER_SIZE + before.length;
      const parsed = parse(bytes, at);
      expect(parsed).toMatchObject({ state: "packet", type, reqId, txId, end: bytes.length - 2 });
      expect(readLatin1(bytes, at + HEADER_SIZE, bytes.length - 2)).toBe(body);
    }),
  );
});

test("with less than all of a message more is needed", () => {
  const bytes = encode(XS.READ, 1, 0, "/a\0");
  for (let end = 0; end < bytes.length; end++)
    expect(parse(bytes.subarray(0, end), 0).state).toBe("need-more");
});

test("the longest message, and one byte more", () => {
  const bytes = encode(XS.WRITE, 1, 0, "x".repeat(PAYLOAD_MAX));
  expect(parse(bytes, 0).state).toBe("packet");
  bytes[12] = 1;
  expect(parse(bytes, 0).state).toBe("failed");
  for (const length of [0x7fffffff, 0x80000000, 0xffffffff]) {
    const lying = new Uint8Array(HEADER_SIZE);
    new DataView(lying.buffer).setUint32(12, length, true);
    expect(parse(lying, 0).state).toBe("failed");
  }
});

test("Buffers and plain arrays of bytes are read and written alike", () => {
  fc.assert(
    fc.property(latin1, (text) => {
      const plain = new Uint8Array(text.length + 2);
      const buffer = Buffer.alloc(text.length + 2);
      writeLatin1(plain, 1, text);
      writeLatin1(buffer, 1, text);
      expect(Buffer.from(plain).equals(buffer)).toBe(true);
      expect(readLatin1(plain, 1, text.length + 1)).toBe(text);
      expect(readLatin1(buffer, 1, text.length + 1)).toBe(text);
    }),
  );
});

test("requests may come in pieces of any size, and replies be taken in pieces of any size", () => {
  const requests = [
    encode(XS.WRITE, 1, 0, "/a/b\0value"),
    encode(XS.READ, 2, 0, "/a/b\0"),
    encode(XS.DIRECTORY, 3, 0, "/\0"),
    encode(XS.READ, 4, 0, "/missing\0"),
  ];
  const sent = new Uint8Array(requests.flatMap((request) => [...request]));
  const answers = (cuts: readonly number[], piece: number): number[] => {
    const client = new TestClient(testStore());
    const received: number[] = [];
    for (let at = 0, i = 0; at < sent.length; i++) {
      const length = cuts[i % cuts.length] as number;
      expect(receive(client.store, client.conn, sent.subarray(at, at + length))).toBe("open");
      at += length;
      while (outputLength(client.store.cells, client.conn) > 0) {
        const bytes = new Uint8Array(piece);
        const count = takeOutput(client.store, client.conn, bytes, 0, piece);
        received.push(...bytes.subarray(0, count));
      }
    }
    return received;
  };
  const whole = answers([sent.length], 10_000);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
      fc.integer({ min: 1, max: 60 }),
      (cuts, piece) => {
        expect(answers(cuts, piece)).toEqual(whole);
      },
    ),
  );
});

test("nonsense hurts only who sends it", () => {
  const request = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.constantFrom(0, 1, 7), latin1);
  const nonsense = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    request.map(([type, txId, body]) => encode(type, 1, txId, body)),
    request.map(([type, txId, body]) => encode(type, 1, txId, `/a/${body}`)),
  );
  fc.assert(
    fc.property(fc.array(nonsense, { maxLength: 30 }), (pieces) => {
      const store = testStore();
      const other = new TestClient(store);
      other.ask("WRITE", "/other|1");
      other.ask("SET_PERMS", "/|r0|");
      other.ask("SET_PERMS", "/other|r0|");
      TestClient.ofDomain(store, 1);
      for (const piece of pieces) if (mayRead(store.cells, 1)) receive(store, 1, piece);
      expect(other.ask("READ", "/other|")).toBe("1");
      expect(other.ask("CONTROL", "check|")).toBe("OK|");
    }),
    { numRuns: 500 },
  );
});
