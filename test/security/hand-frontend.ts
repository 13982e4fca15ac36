// SPDX-License-Identifier: Apache-2.0
//
// A guest without a kernel whose frontends are made by hand: it can offer a
// backend what no kernel would.

import { addBlockDevice, addBridge } from "../../src/core/drivers/backend-devices.ts";
import { initRing } from "../../src/core/drivers/ring.ts";
import { isFailure } from "../../src/core/engine/errno.ts";
import type { Scheduler } from "../../src/core/engine/scheduler.ts";
import { threadCell } from "../../src/core/engine/thread.ts";
import { TestHost } from "../../src/core/guest/testing.ts";
import { allocUnbound } from "../../src/core/hypervisor/event-channel-op.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import { activeGrants } from "../../src/core/hypervisor/grant-table.ts";
import { grantAccess, setupTable } from "../../src/core/hypervisor/grant-table-op.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import type { XenwatchPolicy } from "../../src/core/xenbus/xenbus.ts";

export const XVDA = 51712;
/** References below are the toolstack's. */
const FIRST_REF = 8;
/** A reference no entry was written for. */
export const BAD_REF = 400;

/** A host with a disk, a bridge, and a hostile guest with an interface and that disk. */
export class Hostile {
  readonly host: TestHost;
  readonly domid: number;
  #nextRef = FIRST_REF;
  #frame: number;

  constructor(options: { policy?: XenwatchPolicy; seed?: number; scheduler?: Scheduler } = {}) {
    this.host = new TestHost(options);
    this.host.act((on) => {
      addBlockDevice(on, "7:0", "/dev/loop0", 32768);
      addBridge(on, "xenbr0");
    });
    this.domid = this.host.build("", { image: () => {} });
    const [run] = this.host.act((on) => [...runsOf(on, ownedFrames(this.domid))]);
    this.#frame = (run?.start ?? 0) + 16;
    this.host.act((on) => setupTable(on, this.caller, { domid: this.domid, nrFrames: 1 }));
    this.host.addDisk(this.domid, XVDA, "/dev/loop0");
    this.host.addNic(this.domid, 0, "xenbr0");
    this.host.settle();
    this.host.hotplug("vbd", this.domid, XVDA, "add");
    this.host.hotplug("vif", this.domid, 0, "online");
  }

  get caller(): { domid: number; process: string } {
    return { domid: this.domid, process: "kernel" };
  }

  /** Lets dom0 map a new page; its reference and frame. */
  grant(): { ref: number; mfn: number } {
    const [ref, mfn] = [this.#nextRef++, this.#frame++];
    this.host.act((on) => {
      initRing(on.memory, mfn);
      grantAccess(on, this.domid, ref, 0, mfn);
    });
    return { ref, mfn };
  }

  /** A port for dom0 to bind. */
  port(): number {
    const made = this.host.act((on) => allocUnbound(on, this.caller, { domid: this.domid, remoteDomid: 0 }));
    if (isFailure(made)) throw new Error(made.errno);
    return made.port;
  }

  /** Writes a node of a frontend. */
  write(kind: "vbd" | "vif", name: string, value: string | number): void {
    this.host.write(this.node(kind, name), String(value));
  }

  node(kind: "vbd" | "vif", name: string): string {
    return `/local/domain/${this.domid}/device/${kind}/${kind === "vif" ? 0 : XVDA}/${name}`;
  }

  /** The state that a backend shows. */
  backend(kind: "vbd" | "vif"): string {
    return this.host.read(`/local/domain/0/backend/${kind}/${this.domid}/${kind === "vif" ? 0 : XVDA}/state`);
  }

  /** Shows a state, and lets dom0 react. */
  show(kind: "vbd" | "vif", state: number): void {
    this.write(kind, "state", state);
    this.host.settle();
  }

  /** Offers an interface with one queue and shows Connected. */
  connectVif(): { tx: { ref: number; mfn: number }; port: number } {
    const [tx, rx] = [this.grant(), this.grant()];
    const port = this.port();
    this.write("vif", "tx-ring-ref", tx.ref);
    this.write("vif", "rx-ring-ref", rx.ref);
    this.write("vif", "event-channel", port);
    this.write("vif", "request-rx-copy", 1);
    this.show("vif", 4);
    return { tx, port };
  }

  /** Offers a disk's ring and shows Initialised. */
  connectVbd(persistent = 1): { ring: { ref: number; mfn: number }; port: number } {
    const ring = this.grant();
    const port = this.port();
    this.write("vbd", "ring-ref", ring.ref);
    this.write("vbd", "event-channel", port);
    this.write("vbd", "protocol", "x86_64-abi");
    this.write("vbd", "feature-persistent", persistent);
    this.show("vbd", 3);
    return { ring, port };
  }

  /** References of the guest's that somebody has mapped; the toolstack's left out. */
  pinned(): number[] {
    return [...activeGrants(this.host.world, this.domid)]
      .map(([ref]) => ref)
      .filter((ref) => ref >= FIRST_REF);
  }

  /** Threads of dom0's backends. */
  threads(): string[] {
    return (this.host.world.ids(threadCell) as string[]).filter((name) => /^dom0\/(vif|\d+\.xvd)/.test(name));
  }
}
