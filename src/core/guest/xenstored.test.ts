// SPDX-License-Identifier: Apache-2.0
//
// What time does to the domains that a host's xenstored serves: events that are
// not taken are dropped, and who writes too much has to wait.

import { expect, test } from "vitest";
import { isFailure } from "../engine/errno.ts";
import type { StartInfo } from "./guest.ts";
import { TestHost } from "./testing.ts";
import { send } from "../hypervisor/event-channel-op.ts";
import { type DomainAccount, domainAccounts } from "../xenstore/accounting.ts";
import { clientRead, clientWrite, type RingPage } from "../xenstore/ring.ts";
import { encode, readLatin1, XS } from "../xenstore/wire.ts";

/** A domain whose kernel is the test: it uses its ring as it likes. */
class Guest {
  readonly domid: number;
  readonly #host: TestHost;
  readonly #info: Pick<StartInfo, "storeMfn" | "storePort">;

  constructor(host: TestHost) {
    this.#host = host;
    let info: StartInfo | undefined;
    this.domid = host.build("", { image: (_, started) => (info = started) });
    this.#info = info as unknown as StartInfo;
  }

  #use<R>(what: (page: RingPage) => R): R {
    const { storeMfn, storePort } = this.#info;
    return this.#host.act((host) => {
      const result = what({
        read: (offset, length) => host.memory.read(storeMfn, offset, length),
        write: (offset, bytes) => host.memory.write(storeMfn, offset, bytes),
      });
      send(host, { domid: this.domid, process: "kernel" }, { port: storePort });
      return result;
    });
  }

  /** Sends a request, and lets all happen that does without time. */
  send(type: number, body: string): void {
    const bytes = encode(type, 1, 0, body);
    const count = this.#use((page) => clientWrite(page, bytes));
    if (count !== bytes.length) throw new Error("the ring is full");
    this.#host.settle();
  }

  /** All that is in the ring, as text. */
  take(): string {
    const bytes = this.#use((page) => clientRead(page));
    this.#host.settle();
    return isFailure(bytes) ? "" : readLatin1(bytes, 0, bytes.length);
  }

  get account(): DomainAccount {
    const found = this.#host.act((host) => domainAccounts(host)).find(({ domid }) => domid === this.domid);
    return found as DomainAccount;
  }
}

test("an event that a domain does not take within 20 s is dropped", () => {
  const host = new TestHost();
  const guest = new Guest(host);
  const home = `/local/domain/${guest.domid}`;
  guest.send(XS.WATCH, "control\0t\0");
  for (let at = 0; at < 60; at++) host.write(`${home}/control/event-${at}`, "");
  const { memory } = guest.account.held;
  const empty = new Guest(host).account.held.memory;
  expect(memory).toBeGreaterThan(empty + 500);
  host.pass(19);
  expect(guest.account.held.memory).toBe(memory);
  host.pass(2);
  // One that is partly in the ring stays.
  expect(guest.account.held.memory).toBeLessThan(empty + 60);
  let all = "";
  for (let text = guest.take(); text !== ""; text = guest.take()) all += text;
  expect(all).toContain("control/event-0\0t\0");
  expect(all).not.toContain("control/event-59\0t\0");
  expect(guest.account.held.memory).toBe(empty + `${home}/controlt`.length);
});

test("a domain that writes all the time while a transaction is open waits, and is served again", () => {
  const host = new TestHost({ store: { writeRate: 200 } });
  const [writer, other] = [new Guest(host), new Guest(host)];
  const node = "control/shutdown";
  const write = (value: number): void => {
    writer.send(XS.WRITE, `${node}\0${value}`);
    writer.take();
  };
  for (let at = 0; at < 300; at++) write(at);
  expect(writer.account.stalled).toBeNull();
  other.send(XS.TRANSACTION_START, "\0");
  let count = 0;
  while (writer.account.stalled === null && count < 300) write(++count);
  expect(writer.account.stalled).toBe("write-rate");
  expect(count).toBeLessThan(100);
  write(12_345);
  const path = `/local/domain/${writer.domid}/${node}`;
  expect(host.read(path)).not.toBe("12345");
  host.pass(1);
  expect(writer.account.stalled).toBeNull();
  expect(host.read(path)).toBe("12345");
});

test("without a limit it does not", () => {
  const host = new TestHost();
  const [writer, other] = [new Guest(host), new Guest(host)];
  other.send(XS.TRANSACTION_START, "\0");
  for (let at = 0; at < 300; at++) {
    writer.send(XS.WRITE, `control/shutdown\0${at}`);
    writer.take();
  }
  expect(writer.account.stalled).toBeNull();
});

test("a domain introduced again with a port that cannot be bound keeps its ring, and is let go as any other", () => {
  const host = new TestHost();
  const { domid } = new Guest(host);
  for (const port of [9999, 0xffffffff])
    expect(host.store(["INTRODUCE", `${[domid, 1, port].join("\0")}\0`])).toEqual(["OK\0"]);
  expect(host.store(["IS_DOMAIN_INTRODUCED", `${domid}\0`])).toEqual(["T\0"]);
  expect(host.store(["RELEASE", `${domid}\0`])).toEqual(["OK\0"]);
  expect(host.store(["IS_DOMAIN_INTRODUCED", `${domid}\0`])).toEqual(["F\0"]);
});
