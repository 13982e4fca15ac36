// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { expireEvents } from "../../core/xenstore/store.ts";
import { TestClient, testStore } from "../../core/xenstore/test-client.ts";
import { MessageCounts, metricsText } from "./metrics.ts";

test("events that a domain did not take in time are counted, a domain each", () => {
  const store = testStore();
  const toolstack = new TestClient(store);
  const [one] = [TestClient.ofDomain(store, 1), TestClient.ofDomain(store, 2)];
  toolstack.ask("WRITE", "/local/domain/1|");
  toolstack.ask("SET_PERMS", "/local/domain/1|n1|");
  one.all("WATCH", "x|t|");
  toolstack.ask("WRITE", "/local/domain/1/x|1");
  store.now = 20_000_000;
  expireEvents(store, 1);
  const text = metricsText({ cells: store.cells, counts: new MessageCounts(), journal: undefined });
  for (const [domid, count] of [
    [1, 1],
    [2, 0],
  ])
    expect(text).toContain(`xenstored_domain_events_timed_out_total{domid="${domid}"} ${count}\n`);
});
