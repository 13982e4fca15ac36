// SPDX-License-Identifier: Apache-2.0
//
// A holder's name in the ledger, and who that is: `d0/xl.166` is a process,
// `d0/kernel vif1.0-q0` a backend of dom0's kernel, `d1v0` a vCPU.

import { processCell } from "../core/daemons/process.ts";
import { threadCell } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import { backendOf } from "./backends.ts";

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
  /** Whether that thread has not come to it yet. */
  waitsItsTurn: boolean;
}

/** Reads a ledger's name. */
export function actorOf(world: World, name: string): Actor {
  const slash = name.indexOf("/");
  const domid = /^d(\d+)/.exec(name)?.[1];
  if (domid === undefined)
    return { who: "Xen itself", domid: null, pid: null, outside: false, thread: null, waitsItsTurn: false };
  const at = Number(domid);
  if (slash < 0)
    return {
      who: `domain ${domid}`,
      domid: at,
      pid: null,
      outside: false,
      thread: null,
      waitsItsTurn: false,
    };
  const process = name.slice(slash + 1);
  return process === "kernel" || process.startsWith("kernel ")
    ? kernelOf(world, at, process.slice("kernel ".length))
    : processOf(world, at, process);
}

function processOf(world: World, domid: number, process: string): Actor {
  const modelled = world.get(processCell, process);
  if (modelled !== undefined) {
    const who = `process ${modelled.pid} of domain ${domid} (${modelled.argv.join(" ")})`;
    return { who, domid, pid: modelled.pid, outside: false, thread: process, waitsItsTurn: false };
  }
  // A program outside, named after its command and its pid.
  const [, command, pid] = /^(.+)\.(\d+)$/.exec(process) ?? [];
  if (command !== undefined && pid !== undefined)
    return {
      who: `process ${pid} (${command})`,
      domid,
      pid: Number(pid),
      outside: true,
      thread: null,
      waitsItsTurn: false,
    };
  return {
    who: `${process} in domain ${domid}`,
    domid,
    pid: null,
    outside: false,
    thread: threadNamed(world, process),
    waitsItsTurn: false,
  };
}

function threadNamed(world: World, name: string): string | null {
  return world.get(threadCell, name) === undefined ? null : name;
}

/** A kernel, or a backend in it, by what its driver calls it. */
function kernelOf(world: World, domid: number, name: string): Actor {
  const backend = backendOf(world, domid, name);
  const plain = { who: `the kernel of domain ${domid}`, thread: null, waitsItsTurn: false };
  return { ...(backend ?? plain), domid, pid: null, outside: false };
}
