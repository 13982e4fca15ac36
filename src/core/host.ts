// SPDX-License-Identifier: Apache-2.0
//
// One host put together: the hypervisor, dom0's kernel with its backends,
// xenstored, the toolstack's daemons. What runs on it afterwards is up to whoever
// gives it commands.

import { textBytes, writeFile } from "./daemons/files.ts";
import { addOutside } from "./daemons/outside.ts";
import { hasExited, reap } from "./daemons/process.ts";
import { startXenconsoled } from "./daemons/xenconsoled.ts";
import { placeOutside } from "./daemons/unix-socket.ts";
import { startXenstored, XENSTORED } from "./daemons/xenstored.ts";
import { cellType } from "./engine/cells.ts";
import { addBlockDevice, addBridge } from "./drivers/backend-devices.ts";
import type { Host } from "./engine/host.ts";
import { routine } from "./engine/routine.ts";
import { hasEnded, spawnThread } from "./engine/thread.ts";
import type { World } from "./engine/world.ts";
import { startDom0Kernel } from "./guest/dom0.ts";
/* eslint-disable-next-line import/no-unassigned-import -- a guest calls it by name */
import "./guest/kexec.ts";
import type { MachineConfig } from "./hypervisor/machine.ts";
import { startHypervisor } from "./hypervisor/setup.ts";
import { spawnInitDom0 } from "./toolstack/init-dom0.ts";
/* eslint-disable import/no-unassigned-import -- they declare faults */
import "./drivers/device-model.ts";
import "./toolstack/signals.ts";
/* eslint-enable import/no-unassigned-import */
import { setWallClock } from "./toolstack/wall-clock.ts";
import type { XenwatchPolicy } from "./xenbus/xenbus.ts";

/** What a host is made of. */
export interface HostConfig {
  /** The machine, where it differs from the recordings' one. */
  machine: Partial<MachineConfig>;
  /** How dom0's kernel spreads watch events over threads. */
  xenwatch: XenwatchPolicy;
  /** Who serves xenstore: our own xenstored, or a process outside. */
  xenstored: "builtin" | "outside";
  /**
   * Changes a second that guests share in xenstore while somebody has a transaction
   * open; 0 for no limit. Real xenstored has 200; only ours here knows one.
   */
  writeRate: number;
  /** Who serves the domains' consoles: our own xenconsoled, or a process outside. */
  xenconsoled: "builtin" | "outside";
  /** Files of dom0 beside those every dom0 has, by absolute path: text, or bytes. */
  files: { readonly [path: string]: string | Uint8Array };
  /** Bridges of dom0, the first of which vifs join by default. */
  bridges: readonly string[];
  /** Block devices of dom0: sectors of 512 bytes by path. */
  blockDevices: { readonly [path: string]: number };
  /** When it comes up, by its wall clock: seconds since 1970. */
  bootSeconds: number;
}

export const defaultHost: HostConfig = {
  machine: {},
  xenwatch: "single",
  xenstored: "builtin",
  writeRate: 0,
  xenconsoled: "builtin",
  files: {},
  bridges: ["xenbr0"],
  blockDevices: {},
  bootSeconds: 0,
};

/** Major number of the block devices a host is given (LOCAL/EXPERIMENTAL in Linux's devices.txt). */
const BLOCK_MAJOR = 0x78;

/** How far the host has come up, and where xenstored finds dom0's page and port. */
export const hostCell = cellType<{ up: boolean; storeMfn: number; storePort: number }>("host");

/** From xenstored on, what dom0's init scripts start on every Xen host. */
const dom0Init = routine(
  "init xencommons",
  (a: { xenconsoled: HostConfig["xenconsoled"] }) => ({ ...a, process: "" }),
  ({ step, waitFor }) => [
    waitFor("xenstored answers dom0's kernel", (host) => hasEnded(host, "dom0/xenbus_probe")),
    step("xen-init-dom0", (host, l) => {
      l.process = spawnInitDom0(host);
    }),
    waitFor("xen-init-dom0 ends", (host, l) => hasExited(host, l.process)),
    step("xenconsoled", (host, l) => {
      reap(host, l.process);
      if (l.xenconsoled === "builtin") startXenconsoled(host);
      host.edit(hostCell, 0).up = true;
    }),
  ],
);

/**
 * Brings a host up in an empty world, as far as one moment can: dom0's threads
 * are started and do the rest. `hostIsUp` tells when they have.
 */
export function bootHost(host: Host, config: Partial<HostConfig> = {}): void {
  const { machine, xenwatch, xenstored, writeRate, xenconsoled, bootSeconds, ...things } = {
    ...defaultHost,
    ...config,
  };
  startHypervisor(host, machine);
  addOutside(host);
  addThings(host, things);
  setWallClock(host, bootSeconds);
  const { mfn, port } = startDom0Kernel(host, { policy: xenwatch });
  host.add(hostCell, 0, { up: false, storeMfn: mfn, storePort: port });
  if (xenstored === "builtin") startXenstored(host, mfn, port, { writeRate });
  else placeOutside(host, XENSTORED);
  spawnThread(host, "dom0/init", dom0Init, { xenconsoled });
}

/** What dom0 has for its tools and backends to use. */
function addThings(
  host: Host,
  { files, bridges, blockDevices }: Pick<HostConfig, "files" | "bridges" | "blockDevices">,
): void {
  for (const [path, content] of Object.entries(files)) {
    writeFile(host, path, typeof content === "string" ? textBytes(content) : content);
  }
  for (const name of bridges) addBridge(host, name);
  for (const [minor, [path, sectors]] of Object.entries(blockDevices).entries()) {
    addBlockDevice(host, `${BLOCK_MAJOR.toString(16)}:${minor.toString(16)}`, path, sectors);
  }
}

/** Whether dom0 has come up and everybody waits for something to happen. */
export function hostIsUp(world: World): boolean {
  return world.get(hostCell, 0)?.up === true && world.runnable.length === 0;
}
