// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite played to a xenstored of ours, with domains in files.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkStore } from "../../src/core/xenstore/check.ts";
import type { Store, XenstoreVersion } from "../../src/core/xenstore/store.ts";
import type { Case } from "../../src/live/conformance/case.ts";
import { playCase, type Result } from "../../src/live/conformance/run.ts";
import { FileRings } from "../../src/live/xenstored/file-rings.ts";
import { serveXenstored, type XenstoredServer } from "../../src/live/xenstored/server.ts";
import { standaloneStore } from "../../src/live/xenstored/standalone.ts";

/** What went wrong, as a failing test shows it. */
export function complaints({ answered }: Result): readonly object[] {
  return answered.filter(({ wrong }) => wrong !== undefined);
}

/** A test for each case, played to ours as this version. */
export function testOurs(
  version: XenstoreVersion,
  cases: readonly Case[],
  title: (of: Case) => string,
): void {
  let folder: string;
  let server: XenstoredServer;
  let store: Store;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "conformance-"));
    const rings = new FileRings(join(folder, "domains"));
    server = await serveXenstored({
      socketPath: join(folder, "socket"),
      store: (queued) => (store = standaloneStore({ version, domains: rings.domains }, queued)),
      rings,
    });
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  for (const one of cases) {
    test(title(one), async () => {
      const target = { socketPath: server.socketPath, domains: join(folder, "domains"), profile: version };
      const result = await playCase(one, target);
      expect(complaints(result)).toEqual([]);
      expect(result.outcome).toBe(one.only?.includes(version) === false ? "skipped" : "passed");
      expect(checkStore(store.cells)).toEqual([]);
    });
  }
}
