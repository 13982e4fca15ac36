// SPDX-License-Identifier: Apache-2.0
//
// What the xenstored of a live host does and holds, as Prometheus reads it.

import { XS } from "../core/xenstore/wire.ts";
import type { LiveHost } from "./live-host.ts";
import { MessageCounts, serveMetrics } from "./xenstored/metrics.ts";

const types: { readonly [name: string]: number | undefined } = XS;

/**
 * Serves the page of `xenolith xenstored --metrics` for our xenstored on this host. Rejects with
 * Problem where the port cannot be had.
 *
 * @returns the port, and what ends it
 */
export async function serveHostMetrics(
  host: LiveHost,
  port: number,
): Promise<{ readonly port: number; readonly close: () => void }> {
  const counts = new MessageCounts();
  const { server, port: taken } = await serveMetrics(port, () => ({
    cells: host.world,
    counts,
    journal: undefined,
  }));
  const deaf = host.recorder.listenTo("xenstore", ({ dir, op, ...line }) =>
    counts.observe({ ...line, kind: dir, type: types[op] ?? -1 }),
  );
  return {
    port: taken,
    close: () => {
      deaf();
      server.close();
    },
  };
}
