// SPDX-License-Identifier: Apache-2.0
//
// What a live host says of itself.

import { must } from "../core/engine/cells.ts";
import { heapCell } from "../core/hypervisor/heap.ts";
import { machineOf } from "../core/hypervisor/machine.ts";
import { domainRows } from "./domains.ts";
import type { DomainRow } from "./domains.ts";
import type { LiveHost } from "./live-host.ts";

/** A host's state, as `xenolith status --json` prints it. */
export interface Status {
  dir: string;
  pid: number;
  /** xenstored's socket. */
  xenstored: string;
  /** Who serves it: ours, or Xen's own with its process; `gone` says how that ended. */
  store: LiveHost["store"];
  xen: string;
  upSeconds: number;
  memoryMiB: { total: number; free: number };
  domains: DomainRow[];
  /** File the run is recorded in, or null. */
  trace: string | null;
}

export function statusOf(host: LiveHost): Status {
  const { world, where, recorder } = host;
  return host.driver.look((cells): Status => {
    const machine = machineOf(cells);
    return {
      dir: where.dir,
      pid: process.pid,
      xenstored: where.xenstored,
      store: host.store,
      xen: machine.version,
      upSeconds: world.now / 1e6,
      memoryMiB: {
        total: Math.floor(machine.totalPages / 256),
        free: Math.floor(must(cells, heapCell, 0).freePages / 256),
      },
      domains: domainRows(cells, world.now, (domid) => host.nameOf(domid)),
      trace: recorder.file,
    };
  });
}
