// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite played to a xenstored of ours, with domains in files.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkStore } from "../../src/core/xenstore/check.ts";
import type { Store, StoreOptions, XenstoreVersion } from "../../src/core/xenstore/store.ts";
import type { Case } from "../../src/live/conformance/case.ts";
import { playCase, type Result } from "../../src/live/conformance/run.ts";
import { FileRings } from "../../src/live/xenstored/file-rings.ts";
import { serveXenstored, type XenstoredServer } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";

/** What went wrong, as a failing test shows it. */
export function complaints({ answered }: Result): readonly object[] {
  return answered.filter(({ wrong }) => wrong !== undefined);
}

/** One of ours, while the tests of a block run. */
interface Ours {
  play(one: Case): Promise<Result>;
  store(): Store;
}

/** Starts ours before the tests of the block, and ends it after them. */
export function withOurs(version: XenstoreVersion, options: StoreOptions = {}): Ours {
  let folder: string;
  let server: XenstoredServer;
  let store: Store;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "conformance-"));
    const rings = new FileRings(join(folder, "domains"));
    server = await serveXenstored({
      socketPath: join(folder, "socket"),
      store: (queued) => (store = standaloneStore({ ...options, version, domains: rings.domains }, queued)),
      rings,
    });
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  return {
    play: (one) =>
      playCase(one, { socketPath: server.socketPath, domains: join(folder, "domains"), profile: version }),
    store: () => store,
  };
}

/** A test for each case, played to ours as this version. */
export function testOurs(
  version: XenstoreVersion,
  cases: readonly Case[],
  title: (of: Case) => string,
): void {
  const ours = withOurs(version);
  for (const one of cases) {
    test(title(one), async () => {
      const result = await ours.play(one);
      expect(complaints(result)).toEqual([]);
      expect(result.outcome).toBe(one.only?.includes(version) === false ? "skipped" : "passed");
      expect(checkStore(ours.store().cells)).toEqual([]);
    });
  }
}
