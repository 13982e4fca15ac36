// SPDX-License-Identifier: Apache-2.0
//
// Backends as holders: which device a name in the ledger belongs to, and which
// thread would have to unmap what it maps.

import { netbackQueueCell } from "../core/drivers/netback-cells.ts";
import { mailboxCell } from "../core/engine/mailbox.ts";
import { framesOf, threadCell } from "../core/engine/thread.ts";
import type { World } from "../core/engine/world.ts";
import { pathsIn } from "./mailboxes.ts";

/** A backend device of a kernel, as a holder. */
export interface Backend {
  /** As the subject of a sentence. */
  who: string;
  /** The thread that has to let go, or null where none is known. */
  thread: string | null;
  /** Whether that thread has not come to this device yet: its event waits for its turn. */
  waitsItsTurn: boolean;
}

/** Reads the name a driver gives itself, behind `kernel`: `vif1.0`, `vif1.0-q0`, `vbd-1-51712`; else null. */
export function backendOf(world: World, domid: number, name: string): Backend | null {
  const [, vif, frontend, handle, queue] = /^(vif(\d+)\.(\d+))(-q\d+)?$/.exec(name) ?? [];
  if (vif !== undefined) {
    const device = `${domid}/backend/vif/${frontend}/${handle}`;
    const part = queue === undefined ? `netback's rings of ${vif}` : `netback's packets of ${name}`;
    const dealloc = queue === undefined ? null : deallocThread(world, name);
    const who = `${part} in domain ${domid}`;
    return dealloc === null
      ? { who, ...threadFor(world, domid, device) }
      : { who, thread: dealloc, waitsItsTurn: false };
  }
  const [, type, of, number] = /^(\w+)-(\d+)-(\d+)$/.exec(name) ?? [];
  if (type === undefined) return null;
  const who = `blkback's ${type} ${number} of domain ${of} in domain ${domid}`;
  return { who, ...threadFor(world, domid, `${domid}/backend/${type}/${of}/${number}`) };
}

function deallocThread(world: World, name: string): string | null {
  for (const id of world.ids(netbackQueueCell)) {
    const queue = world.get(netbackQueueCell, id);
    if (queue?.name === name && world.get(threadCell, queue.deallocThread) !== undefined)
      return queue.deallocThread;
  }
  return null;
}

/**
 * The thread that would end a device's mappings: the one of xenwatch that is
 * busy with it, else the one in whose queue an event of it waits, else whoever
 * works for the device.
 */
function threadFor(world: World, domid: number, device: string): Omit<Backend, "who"> {
  const busy = world.ids(threadCell).filter((id) => isBusyWith(world, String(id), device));
  const watching = busy.find((id) => world.get(mailboxCell, id) !== undefined);
  if (watching !== undefined) return { thread: String(watching), waitsItsTurn: false };
  const node = device.slice(`${domid}/`.length);
  const queue = world.ids(mailboxCell).find((id) => hasEventOf(world, String(id), node));
  if (queue !== undefined && world.get(threadCell, queue) !== undefined)
    return { thread: String(queue), waitsItsTurn: true };
  return { thread: busy[0] === undefined ? null : String(busy[0]), waitsItsTurn: false };
}

/** Whether one of a thread's frames names the device: a callback, a probe, a removal under way. */
function isBusyWith(world: World, thread: string, device: string): boolean {
  return framesOf(world, thread).some(({ locals }) => names(locals, device, 2));
}

function names(value: unknown, device: string, depth: number): boolean {
  if (value === device) return true;
  if (depth === 0 || typeof value !== "object" || value === null) return false;
  return Object.values(value).some((field) => names(field, device, depth - 1));
}

function hasEventOf(world: World, mailbox: string, node: string): boolean {
  const [, type, frontend, handle] = node.split("/");
  const frontends = `/local/domain/${frontend}/device/${type}/${handle}/`;
  return pathsIn(world, mailbox).some((path) => path.includes(`${node}/`) || path.startsWith(frontends));
}
