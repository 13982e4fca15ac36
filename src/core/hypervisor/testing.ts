// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this folder share.

import type { Host } from "../engine/host.ts";
import { fifo, run } from "../engine/scheduler.ts";
import { spawnThread } from "../engine/thread.ts";
import type { TraceRecord } from "../engine/trace.ts";
import { World } from "../engine/world.ts";
import type { Caller } from "./caller.ts";
import * as domctl from "./domctl.ts";
import type { MachineConfig } from "./machine.ts";
import { startHypervisor } from "./setup.ts";

/** dom0's toolstack. */
export const xl: Caller = { domid: 0, process: "xl" };

/** A host with the hypervisor started, its trace, and ways to act on it. */
export class TestHost {
  readonly world = new World({ tracking: { undo: true, hash: true } });
  readonly trace: TraceRecord[] = [];

  constructor(config: Partial<MachineConfig> = {}) {
    this.world.sink = (record) => void this.trace.push(record);
    this.act((host) => startHypervisor(host, config));
  }

  /** One step. */
  act<R>(step: (host: Host) => R): R {
    let result: R | undefined;
    this.world.boot((host) => void (result = step(host)));
    return result as R;
  }

  /** Takes threads' steps until none is left to take. */
  settle(): void {
    run(this.world, fifo);
  }

  /** A PV domain with memory and one vCPU that is up, still paused. */
  makeDomain(pages = 1024, config: domctl.CreatedomainArgs = {}): number {
    return this.act((host) => {
      const made = domctl.createdomain(host, xl, config);
      if ("errno" in made) throw new Error(made.errno);
      const { domid } = made;
      domctl.maxVcpus(host, xl, { domid, max: config.maxVcpus ?? 1 });
      domctl.maxMem(host, xl, { domid, maxMemkb: pages * 4 });
      return domid;
    });
  }

  /** Starts `domctl_destroydomain`; `settle` finishes it. */
  destroy(domid: number): void {
    this.act((host) =>
      spawnThread(host, `dom0/xl.destroy.${domid}.${this.trace.length}`, domctl.destroydomain, {
        caller: xl,
        domid,
      }),
    );
  }

  /** The states a domain went through, with its shutdown code. */
  statesOf(domid: number): string[] {
    return this.trace.flatMap((record) =>
      record.kind === "domain" && record.data.domid === domid
        ? [record.data.code === undefined ? record.data.state : `${record.data.state} ${record.data.code}`]
        : [],
    );
  }

  /** Why VIRQs were raised, in order. */
  virqs(): string[] {
    return this.trace.flatMap((record) => (record.kind === "virq" ? [record.data.why] : []));
  }
}
