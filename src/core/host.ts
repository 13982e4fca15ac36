// SPDX-License-Identifier: Apache-2.0
//
// One host put together: the hypervisor, dom0's kernel with its backends,
// xenstored, the toolstack's daemons. What runs on it afterwards is up to whoever
// gives it commands.

import { addOutside } from "./daemons/outside.ts";
import { hasExited, reap } from "./daemons/process.ts";
import { startXenconsoled } from "./daemons/xenconsoled.ts";
import { startXenstored } from "./daemons/xenstored.ts";
import { cellType } from "./engine/cells.ts";
import { assert, isFailure } from "./engine/errno.ts";
import type { Host } from "./engine/host.ts";
import { routine } from "./engine/routine.ts";
import { spawnThread } from "./engine/thread.ts";
import type { World } from "./engine/world.ts";
import { startBalloon } from "./guest/balloon.ts";
import { xenbusProbe } from "./guest/linux.ts";
import * as evtchn from "./hypervisor/event-channel-op.ts";
import { ownedFrames } from "./hypervisor/frames.ts";
import { defaultMachine } from "./hypervisor/machine.ts";
import type { MachineConfig } from "./hypervisor/machine.ts";
import { runFrom } from "./hypervisor/runs.ts";
import { startHypervisor } from "./hypervisor/setup.ts";
import { writeFile } from "./daemons/files.ts";
import { spawnInitDom0 } from "./toolstack/init-dom0.ts";
import { xsInit } from "./xenbus/comms.ts";
import type { XenwatchPolicy } from "./xenbus/xenbus.ts";

/** What a host is made of. */
export interface HostConfig {
  /** The machine, where it differs from the recordings' one. */
  machine: Partial<MachineConfig>;
  /** How dom0's kernel spreads watch events over threads. */
  xenwatch: XenwatchPolicy;
  /** Who serves xenstore: our own xenstored, or a process outside. */
  xenstored: "builtin" | "outside";
  /** Files of dom0 beside those every dom0 has, by absolute path. */
  files: { readonly [path: string]: Uint8Array };
}

export const defaultHost: HostConfig = { machine: {}, xenwatch: "single", xenstored: "builtin", files: {} };

/** How far the host has come up, and where dom0's xenstore page and port are. */
export const hostCell = cellType<{ up: boolean; storeMfn: number; storePort: number }>("host");

const KERNEL = { domid: 0, process: "kernel" };

/** dom0 from its kernel's xenbus on, to the daemons that every Xen host runs. */
const dom0Init = routine(
  "dom0 init",
  (a: { mfn: number; port: number; policy: XenwatchPolicy }) => ({ ...a, process: "" }),
  ({ step, call, waitFor }) => [
    step("xenbus_init", (host, l) => xsInit(host, 0, l.mfn, l.port, l.policy)),
    call("xenbus_probe", xenbusProbe, () => ({ domid: 0, control: true })),
    step("xen-init-dom0", (host, l) => {
      l.process = spawnInitDom0(host);
    }),
    waitFor("xen-init-dom0 ends", (host, l) => hasExited(host, l.process)),
    step("xenconsoled", (host, l) => {
      reap(host, l.process);
      startXenconsoled(host);
      host.edit(hostCell, 0).up = true;
    }),
  ],
);

/**
 * Brings a host up in an empty world, as far as one moment can: dom0's threads
 * are started and do the rest. `hostIsUp` tells when they have.
 */
export function bootHost(host: Host, config: Partial<HostConfig> = {}): void {
  const { machine, xenwatch, xenstored, files } = { ...defaultHost, ...config };
  startHypervisor(host, { ...defaultMachine, ...machine });
  addOutside(host);
  for (const [path, bytes] of Object.entries(files)) writeFile(host, path, bytes);
  const first = runFrom(host, ownedFrames(0), 0);
  assert(first !== undefined, "dom0 has memory");
  const bound = evtchn.allocUnbound(host, KERNEL, { domid: 0, remoteDomid: 0 });
  assert(!isFailure(bound), "dom0 has a free port");
  const mfn = first.start;
  host.add(hostCell, 0, { up: false, storeMfn: mfn, storePort: bound.port });
  if (xenstored === "builtin") startXenstored(host, mfn, bound.port);
  startBalloon(host, 0, { ...defaultMachine, ...machine }.dom0Pages);
  spawnThread(host, "dom0/init", dom0Init, { mfn, port: bound.port, policy: xenwatch });
}

/** Whether dom0 has come up and everybody waits for something to happen. */
export function hostIsUp(world: World): boolean {
  return world.get(hostCell, 0)?.up === true && world.runnable.length === 0;
}
