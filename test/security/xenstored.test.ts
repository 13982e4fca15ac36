// SPDX-License-Identifier: Apache-2.0
//
// Every advisory about xenstored, as what must hold now. The cases are those of
// `xenolith conformance`; those that need more than a client sees are here.

import { describe, expect, test } from "vitest";
import { checkStore } from "../../src/core/xenstore/check.ts";
import { domainAccounts, storeTotals } from "../../src/core/xenstore/store.ts";
import { TestClient, testStore } from "../../src/core/xenstore/test-client.ts";
import { XENSTORE_VERSIONS } from "../../src/core/xenstore/version.ts";
import { HEADER_SIZE } from "../../src/core/xenstore/wire.ts";
import type { Case } from "../../src/live/conformance/case.ts";
import { CASES } from "../../src/live/conformance/cases/index.ts";
import { complaints, testOurs, withOurs } from "../conformance/suite.ts";

const advisories = CASES.filter(({ advisory }) => advisory !== undefined);

for (const version of XENSTORE_VERSIONS) {
  describe(`ours as ${version}`, () =>
    testOurs(version, advisories, ({ advisory, about }) => `${advisory}: ${about}`));
}

describe("a xenstored without a limit on writes", () => {
  const unlimited = withOurs("4.17", { writeRate: 0 });

  test("XSA-206: a flood keeps the transaction from committing, so that the case is one", async () => {
    const flood = CASES.find(({ name }) => name === "advisories/writer-flood-where-one-reads") as Case;
    expect(complaints(await unlimited.play(flood))).toMatchObject([
      { line: "A transacts /local/domain/1/x", answer: "refused 100 times in 2 s" },
    ]);
  });
});

describe("what only the store itself shows", () => {
  test("XSA-330: cycles of watches and RESET_WATCHES leave nothing behind", () => {
    const store = testStore();
    const guest = TestClient.ofDomain(store, 1);
    const held = (): unknown => [storeTotals(store.cells), domainAccounts(store.cells)];
    const before = held();
    for (let cycle = 0; cycle < 20; cycle++) {
      for (let i = 0; i < 100; i++) guest.all("WATCH", `x${i}|t|`);
      guest.ask("RESET_WATCHES", "|");
    }
    expect(held()).toEqual(before);
  });

  test("XSA-416: a reply that is not taken holds its own bytes and no more", () => {
    const store = testStore();
    const toolstack = new TestClient(store);
    toolstack.ask("WRITE", `/x|${"v".repeat(2000)}`);
    toolstack.ask("SET_PERMS", "/x|r0|");
    const guest = TestClient.ofDomain(store, 1);
    for (let i = 0; i < 15; i++) guest.send("READ", "/x|");
    expect(domainAccounts(store.cells)[1]?.held).toMatchObject({
      outstanding: 15,
      memory: 15 * (HEADER_SIZE + 2000),
    });
    guest.take();
    expect(domainAccounts(store.cells)[1]?.held).toMatchObject({ outstanding: 0, memory: 0 });
    expect(checkStore(store.cells)).toEqual([]);
  });
});
