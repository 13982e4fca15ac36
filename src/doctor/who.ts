// SPDX-License-Identifier: Apache-2.0
//
// A holder's name in the ledger, and who that is: `d0/xl.166` is a process,
// `d0/kernel vif1.0-q0` a backend of dom0's kernel, `d1v0` a vCPU.

import { processCell } from "../core/daemons/process.ts";
import { threadCell } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import { netbackQueueCell } from "../core/drivers/netback-cells.ts";
import { blkbackCell, blkbackRingCell } from "../core/drivers/blkback-cells.ts";

/** Who a holder is. */
export interface Actor {
  /** As the subject of a sentence. */
  who: string;
  domid: number | null;
  /** Process number, where it is a process of dom0's user space. */
  pid: number | null;
  /** Whether that process is a real one, outside the model, which `kill` reaches. */
  outside: boolean;
  /** The thread in which it acts, where it is one of the host's. */
  thread: string | null;
}

/** Reads a ledger's name. */
export function actorOf(world: World, name: string): Actor {
  const slash = name.indexOf("/");
  const domid = /^d(\d+)/.exec(name)?.[1];
  if (domid === undefined) return { who: "Xen itself", domid: null, pid: null, outside: false, thread: null };
  const at = Number(domid);
  if (slash < 0) return { who: `domain ${domid}`, domid: at, pid: null, outside: false, thread: null };
  const process = name.slice(slash + 1);
  return process === "kernel" || process.startsWith("kernel ")
    ? kernelOf(world, at, process.slice("kernel ".length))
    : processOf(world, at, process);
}

function processOf(world: World, domid: number, process: string): Actor {
  const modelled = world.get(processCell, process);
  if (modelled !== undefined) {
    const who = `process ${modelled.pid} of domain ${domid} (${modelled.argv.join(" ")})`;
    return { who, domid, pid: modelled.pid, outside: false, thread: process };
  }
  // A program outside, named after its command and its pid.
  const [, command, pid] = /^(.+)\.(\d+)$/.exec(process) ?? [];
  if (command !== undefined && pid !== undefined)
    return { who: `process ${pid} (${command})`, domid, pid: Number(pid), outside: true, thread: null };
  return {
    who: `${process} in domain ${domid}`,
    domid,
    pid: null,
    outside: false,
    thread: threadNamed(world, process),
  };
}

function threadNamed(world: World, name: string): string | null {
  return world.get(threadCell, name) === undefined ? null : name;
}

/** A backend of a kernel, by what its driver calls it. */
function kernelOf(world: World, domid: number, name: string): Actor {
  for (const id of world.ids(netbackQueueCell)) {
    const queue = world.get(netbackQueueCell, id);
    if (queue?.name !== name) continue;
    const who = `netback's queue ${name} in domain ${domid}`;
    return { who, domid, pid: null, outside: false, thread: threadNamed(world, queue.deallocThread) };
  }
  const vbd = /^(\w+)-(\d+)-(\d+)$/.exec(name);
  const thread = vbd === null ? null : blkbackThread(world, domid, vbd);
  const driver = vbd === null ? `kernel${name === "" ? "" : ` (${name})`}` : `blkback's disk ${vbd[3]}`;
  const of = vbd === null ? "" : ` of domain ${vbd[2]}`;
  return { who: `${driver}${of} in domain ${domid}`, domid, pid: null, outside: false, thread };
}

function blkbackThread(
  world: World,
  domid: number,
  [, , frontend, device]: readonly string[],
): string | null {
  for (const id of world.ids(blkbackRingCell)) {
    const disk = String(id).slice(0, String(id).lastIndexOf("/"));
    if (!disk.startsWith(`${domid}/`) || !disk.includes(`/${frontend}/${device}`)) continue;
    if (world.get(blkbackCell, disk) === undefined) continue;
    return world.get(blkbackRingCell, id)?.xenblkd ?? null;
  }
  return null;
}
