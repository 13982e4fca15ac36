// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/gntdev (Linux, drivers/xen/gntdev.c): a process names grants and gets
// an offset, at which it maps the device, once.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { frameRuns } from "../../core/hypervisor/frame-runs.ts";
import * as evtchn from "../../core/hypervisor/hypercall/evtchn-device.ts";
import * as op from "../../core/hypervisor/hypercall/gntdev-device.ts";
import type { FileMemory } from "../guest-memory.ts";
import { grantCopy } from "./gntdev-copy.ts";
import { GrantMaps } from "./gntdev-maps.ts";
import type { GrantMap } from "./gntdev-maps.ts";
import { callerOf, mapFrames, PROT_WRITE } from "./device.ts";
import type { Answer, Device, MmapArguments, OpenDevice, Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";
import type { Release } from "./mappings.ts";

const PAGE_BYTES = 4096;
/** Grants of one call (the module's parameter `limit`). */
const GRANTS_MAX = 1 << 16;

/** What devices of one host share. */
interface Shared {
  readonly hypercalls: Hypercalls;
  readonly memory: FileMemory;
  /** What each process maps, through whichever device, by its session. */
  readonly mapped: Map<number, Set<GrantMap>>;
}

class GntdevDevice implements Device {
  readonly #shared: Shared;
  readonly #opener: Caller;
  readonly #maps = new GrantMaps();

  constructor(shared: Shared, opener: Caller) {
    this.#shared = shared;
    this.#opener = opener;
  }

  ioctl(session: Session, number: number, argument: number, inline: Buffer, answer: Answer): void {
    const view = viewOf(inline);
    switch (number) {
      case X.IOCTL_GNTDEV_MAP_GRANT_REF:
        return answer(this.#add(session, argument, view));
      case X.IOCTL_GNTDEV_UNMAP_GRANT_REF:
        return answer(this.#remove(session, view));
      case X.IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
        return answer(this.#find(session, argument, view));
      case X.IOCTL_GNTDEV_GRANT_COPY:
        return answer(grantCopy(this.#shared.hypercalls, session, view));
      case X.IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
        return answer(this.#notify(session, view));
      default:
        return answer(fail("ENOTTY"));
    }
  }

  /** gntdev_mmap: EINVAL for anything but all of what an offset stands for, and for a second time. */
  mmap(session: Session, { address, length, offset, prot, shared }: MmapArguments, answer: Answer): void {
    const writable = (prot & PROT_WRITE) !== 0;
    if (writable && !shared) return answer(fail("EINVAL"));
    const map = this.#maps.find(offset, length / PAGE_BYTES);
    if (map === undefined || map.used) return answer(fail("EINVAL"));
    map.used = true;
    map.readonly = !writable;
    const { hypercalls, memory } = this.#shared;
    const caller = callerOf(session.process);
    const made = hypercalls.now(op.mapGrants, { refs: map.refs, readonly: map.readonly }, caller);
    if (isFailure(made)) return answer(made);
    map.mfns = made.mfns;
    const release: Release = (gone) => {
      const pages = gone.flatMap(({ page, pages: count }) =>
        Array.from({ length: count }, (_, i) => page + i),
      );
      const handles = pages.map((page) => made.handles[page] as number);
      hypercalls.now(op.unmapGrants, { handles, notice: byteToClear(map, pages) }, caller);
      this.#unmapped(session, map, pages);
    };
    const mapping = mapFrames(memory, session, address, frameRuns(made.mfns), writable, release);
    if (mapping === null) {
      hypercalls.now(op.unmapGrants, { handles: made.handles, notice: null }, caller);
      return answer(fail("ENOMEM"));
    }
    map.address = address;
    map.mapped = new Set(map.refs.keys());
    this.#mappedBy(session).add(map);
    answer(0, mapping);
  }

  /** What is mapped outlives the device (gntdev_release). */
  close(): void {
    for (const map of this.#maps.clear()) this.#maybeGone(map, this.#opener);
  }

  #mappedBy({ id }: Session): Set<GrantMap> {
    const { mapped } = this.#shared;
    const mine = mapped.get(id) ?? new Set();
    mapped.set(id, mine);
    return mine;
  }

  #unmapped(session: Session, map: GrantMap, pages: readonly number[]): void {
    for (const page of pages) map.mapped.delete(page);
    if (map.mapped.size > 0) return;
    const { mapped } = this.#shared;
    const mine = this.#mappedBy(session);
    mine.delete(map);
    if (mine.size === 0) mapped.delete(session.id);
    this.#maybeGone(map, callerOf(session.process));
  }

  /** The event is sent when neither the device nor a mapping has it any more (gntdev_put_map). */
  #maybeGone(map: GrantMap, caller: Caller): void {
    if (map.listed || map.mapped.size > 0 || map.signal === null) return;
    const notice = { clear: null, port: map.signal };
    map.signal = null;
    this.#shared.hypercalls.now(op.unmapGrants, { handles: [], notice }, caller);
  }

  /** gntdev_ioctl_map_grant_ref */
  #add(session: Session, argument: number, view: DataView): number | Failure {
    const s = abi.ioctl_gntdev_map_grant_ref;
    const { sizeof, domid, ref } = abi.ioctl_gntdev_grant_ref;
    const count = s.count.get(view);
    if (count === 0 || count > GRANTS_MAX) return fail("EINVAL");
    const bytes = session.process.read(argument + s.refs.offset, count * sizeof);
    if (isFailure(bytes)) return bytes;
    const list = viewOf(bytes);
    const refs = Array.from({ length: count }, (_, i) => ({
      domid: domid.get(list, i * sizeof),
      ref: ref.get(list, i * sizeof),
    }));
    const offset = this.#maps.add(refs);
    const told = new DataView(new ArrayBuffer(8));
    told.setBigUint64(0, BigInt(offset), true);
    return session.process.write(argument + s.index.offset, new Uint8Array(told.buffer));
  }

  /** Takes an offset back; what is mapped there stays until it is unmapped (gntdev_ioctl_unmap_grant_ref). */
  #remove(session: Session, view: DataView): 0 | Failure {
    const s = abi.ioctl_gntdev_unmap_grant_ref;
    const map = this.#maps.find(s.index.get(view), s.count.get(view));
    if (map === undefined) return fail("ENOENT");
    this.#maps.remove(map);
    this.#maybeGone(map, callerOf(session.process));
    return 0;
  }

  /** Of any address of a mapping, made through any device (gntdev_ioctl_get_offset_for_vaddr). */
  #find(session: Session, argument: number, view: DataView): number | Failure {
    const s = abi.ioctl_gntdev_get_offset_for_vaddr;
    const address = s.vaddr.get(view);
    for (const map of this.#shared.mapped.get(session.id) ?? []) {
      if (!map.mapped.has(Math.floor((address - map.address) / PAGE_BYTES))) continue;
      s.offset.set(view, map.index * PAGE_BYTES);
      s.count.set(view, map.refs.length);
      return session.process.write(argument, new Uint8Array(view.buffer, view.byteOffset, s.sizeof));
    }
    return fail("EINVAL");
  }

  /** gntdev_ioctl_notify */
  #notify(session: Session, view: DataView): 0 | Failure {
    const s = abi.ioctl_gntdev_unmap_notify;
    const [index, action, port] = [s.index.get(view), s.action.get(view), s.event_channel_port.get(view)];
    if ((action & ~(X.UNMAP_NOTIFY_CLEAR_BYTE | X.UNMAP_NOTIFY_SEND_EVENT)) !== 0) return fail("EINVAL");
    const signals = (action & X.UNMAP_NOTIFY_SEND_EVENT) !== 0;
    const clears = (action & X.UNMAP_NOTIFY_CLEAR_BYTE) !== 0;
    const { hypercalls } = this.#shared;
    const caller = callerOf(session.process);
    const put = (held: number): void => void hypercalls.now(evtchn.releasePort, { port: held }, caller);
    if (signals && isFailure(hypercalls.now(evtchn.holdPort, { port }, caller))) return fail("EINVAL");
    const map = this.#maps.holding(index);
    if (map === undefined || (clears && map.readonly)) {
      if (signals) put(port);
      return fail(map === undefined ? "ENOENT" : "EINVAL");
    }
    if (map.signal !== null) put(map.signal);
    map.clearAt = clears ? index - map.index * PAGE_BYTES : null;
    map.signal = signals ? port : null;
    return 0;
  }
}

/** The byte that is to be cleared, once, now that these pages go (__unmap_grant_pages). */
function byteToClear(map: GrantMap, pages: readonly number[]): op.UnmapNotice | null {
  const { clearAt, mfns } = map;
  if (clearAt === null || !pages.includes(Math.floor(clearAt / PAGE_BYTES))) return null;
  map.clearAt = null;
  const mfn = mfns[Math.floor(clearAt / PAGE_BYTES)] as number;
  return { clear: { mfn, offset: clearAt % PAGE_BYTES }, port: null };
}

/** Makes the device's opener. */
export function gntdevDevices(hypercalls: Hypercalls, memory: FileMemory): OpenDevice {
  const shared = { hypercalls, memory, mapped: new Map<number, Set<GrantMap>>() };
  return (process) => new GntdevDevice(shared, callerOf(process));
}
