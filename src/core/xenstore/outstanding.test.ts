// SPDX-License-Identifier: Apache-2.0
//
// What keeps one domain from using up xenstored for all: requests that stay
// outstanding until their events are taken, the write rate, memory.

import { describe, expect, test } from "vitest";
import { checkStore } from "./check.ts";
import { disconnect, domainAccounts, mayRead, writeRateDeadline } from "./store.ts";
import { TestClient, type TestStore, testStore } from "./test-client.ts";

function outstanding(store: TestStore, domid: number): number {
  return domainAccounts(store.cells).find((account) => account.domid === domid)?.held.outstanding ?? 0;
}

describe("a request that brought events (XSA-326)", () => {
  test("is outstanding until they are taken, too", () => {
    const store = testStore();
    const toolstack = new TestClient(store);
    const guest = TestClient.ofDomain(store, 1);
    toolstack.ask("WRITE", "/local/domain/1/x|");
    toolstack.ask("SET_PERMS", "/local/domain/1/x|n1|");
    const watcher = new TestClient(store);
    watcher.all("WATCH", "/local/domain/1/x|a|");
    watcher.all("WATCH", "/local/domain/1/x|b|");
    for (let i = 0; i < 20; i++) {
      expect(mayRead(store.cells, 1)).toBe(true);
      guest.ask("WRITE", `/local/domain/1/x/${i}|`);
    }
    expect(outstanding(store, 1)).toBe(20);
    expect(mayRead(store.cells, 1)).toBe(false);
    expect(domainAccounts(store.cells)[1]?.stalled).toBe("outstanding");
    watcher.take();
    expect(outstanding(store, 1)).toBe(0);
    expect(mayRead(store.cells, 1)).toBe(true);
  });

  test("is not when the events' receiver goes, or its own domain does", () => {
    const store = testStore();
    const toolstack = new TestClient(store);
    toolstack.ask("WRITE", "/x|");
    toolstack.ask("SET_PERMS", "/x|b0|");
    const guest = TestClient.ofDomain(store, 1);
    const watcher = new TestClient(store);
    watcher.all("WATCH", "/x|t|");
    guest.ask("WRITE", "/x/a|");
    expect(outstanding(store, 1)).toBe(1);
    disconnect(store, watcher.conn);
    expect(outstanding(store, 1)).toBe(0);
    const other = new TestClient(store);
    other.all("WATCH", "/x|t|");
    guest.ask("WRITE", "/x/b|");
    toolstack.ask("RELEASE", "1|");
    const successor = TestClient.ofDomain(store, 1);
    successor.ask("WRITE", "/x/c|");
    expect(outstanding(store, 1)).toBe(1);
    other.take();
    expect(outstanding(store, 1)).toBe(0);
    expect(checkStore(store.cells)).toEqual([]);
  });

  test("of the privileged is never", () => {
    const store = testStore();
    const watcher = new TestClient(store);
    watcher.all("WATCH", "/x|t|");
    for (let i = 0; i < 100; i++) new TestClient(store, 0).send("WRITE", `/x/${i}|`);
    expect(mayRead(store.cells, 0)).toBe(true);
  });
});

describe("the write rate (XSA-206)", () => {
  function flooded(): { store: TestStore; toolstack: TestClient; guest: TestClient; log: string[] } {
    const log: string[] = [];
    const store = Object.assign(testStore({ writeRate: 200 }), {
      log: (text: string) => void log.push(text),
    });
    const toolstack = new TestClient(store);
    toolstack.ask("WRITE", "/x|0");
    toolstack.ask("SET_PERMS", "/x|b0|");
    return { store, toolstack, guest: TestClient.ofDomain(store, 1), log };
  }

  /** Writes as long as it is read from; how often. */
  function flood(store: TestStore, guest: TestClient, max: number): number {
    let writes = 0;
    while (writes < max && mayRead(store.cells, 1)) guest.ask("WRITE", `/x|${writes++}`);
    return writes;
  }

  test("is not limited while no transaction is open", () => {
    const { store, guest } = flooded();
    expect(flood(store, guest, 2_000)).toBe(2_000);
  });

  test("is while one is, and credit comes with time", () => {
    const { store, toolstack, guest, log } = flooded();
    const tx = toolstack.begin();
    const first = flood(store, guest, 2_000);
    expect(first).toBeGreaterThanOrEqual(10);
    expect(first).toBeLessThanOrEqual(100);
    expect(log).toEqual(["write rate limit: domain 1 is affected"]);
    expect(domainAccounts(store.cells)[1]?.stalled).toBe("write-rate");
    const deadline = writeRateDeadline(store, 1);
    expect(deadline).not.toBeNull();
    store.now = deadline as number;
    expect(writeRateDeadline(store, 1)).toBe(store.now);
    expect(writeRateDeadline(store, 1)).toBeNull();
    expect(mayRead(store.cells, 1)).toBe(true);
    store.now += 1_000_000;
    const later = flood(store, guest, 2_000);
    expect(later).toBeLessThanOrEqual(200);
    expect(toolstack.ask("TRANSACTION_END", "F|", tx)).toBe("OK|");
  });

  test("a transaction that reads what a guest writes all the time commits", () => {
    const { store, toolstack, guest } = flooded();
    let tries = 0;
    let answer = "";
    do {
      tries++;
      const tx = toolstack.begin();
      writeRateDeadline(store, 1);
      flood(store, guest, 1_000);
      toolstack.ask("READ", "/x|", tx);
      writeRateDeadline(store, 1);
      flood(store, guest, 1_000);
      toolstack.ask("WRITE", "/tool/y|1", tx);
      answer = toolstack.commit(tx);
      store.now += 100;
    } while (answer !== "OK|" && tries < 100);
    expect(answer).toBe("OK|");
  });
});

describe("memory", () => {
  test("crossing the soft and the hard limit is told, each way once", () => {
    const log: string[] = [];
    const store = Object.assign(testStore({ limits: { memory: 4_000, "soft-memory": 2_000 } }), {
      log: (text: string) => void log.push(text),
    });
    const toolstack = new TestClient(store);
    toolstack.ask("WRITE", `/x|${"v".repeat(1_500)}`);
    toolstack.ask("SET_PERMS", "/x|r0|");
    const guest = TestClient.ofDomain(store, 1);
    guest.send("READ", "/x|");
    guest.send("READ", "/x|");
    expect(log).toEqual(["Domain 1 exceeds soft memory quota"]);
    // The third reply is too much, an error's name is not.
    guest.send("READ", "/x|");
    expect(guest.take().at(-1)).toBe("ERROR ENOMEM|");
    guest.ask("GET_DOMAIN_PATH", "1|");
    expect(log.at(-1)).toBe("Domain 1 below soft memory quota again");
  });
});
