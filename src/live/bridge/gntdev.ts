// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/gntdev: a process names grants and gets an offset, at which it maps
// the device.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { frameRuns } from "../../core/hypervisor/frame-runs.ts";
import type { GrantRef } from "../../core/hypervisor/gntdev.ts";
import * as evtchn from "../../core/hypervisor/hypercall/evtchn-device.ts";
import * as op from "../../core/hypervisor/hypercall/gntdev-device.ts";
import type { FileMemory } from "../guest-memory.ts";
import { grantCopy } from "./gntdev-copy.ts";
import { callerOf, mapFrames, PROT_WRITE } from "./device.ts";
import type { Answer, Device, OpenDevice, Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";
import type { Release } from "./mappings.ts";

const PAGE_BYTES = 4096;
/** Grants of one call (Linux, the limit module parameter is far above what tools use). */
const GRANTS_MAX = 1 << 16;

/** Grants named in one call. */
interface Area {
  readonly refs: readonly GrantRef[];
  /** Where it is mapped; 0 while it is not. */
  address: number;
  mfns: readonly number[];
  /** What is to happen when the mapping ends. */
  clearAt: number | null;
  signal: number | null;
}

class GntdevDevice implements Device {
  readonly #hypercalls: Hypercalls;
  readonly #memory: FileMemory;
  readonly #opener: Caller;
  /** By offset. */
  readonly #areas = new Map<number, Area>();
  #next = 0;

  constructor(hypercalls: Hypercalls, memory: FileMemory, opener: Caller) {
    this.#hypercalls = hypercalls;
    this.#memory = memory;
    this.#opener = opener;
  }

  ioctl(session: Session, number: number, argument: number, inline: Buffer, answer: Answer): void {
    const view = viewOf(inline);
    switch (number) {
      case X.IOCTL_GNTDEV_MAP_GRANT_REF:
        return answer(this.#add(session, argument, view));
      case X.IOCTL_GNTDEV_UNMAP_GRANT_REF:
        return answer(this.#remove(view));
      case X.IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
        return answer(this.#find(session, argument, view));
      case X.IOCTL_GNTDEV_GRANT_COPY:
        return answer(grantCopy(this.#hypercalls, session, view));
      case X.IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
        return answer(this.#notify(session, view));
      default:
        return answer(fail("ENOTTY"));
    }
  }

  mmap(
    session: Session,
    address: number,
    length: number,
    offset: number,
    prot: number,
    answer: Answer,
  ): void {
    const area = this.#areas.get(offset);
    if (area === undefined || area.refs.length * PAGE_BYTES !== length) return answer(fail("EINVAL"));
    if (area.address !== 0) return answer(fail("EBUSY"));
    const caller = callerOf(session.process);
    const readonly = (prot & PROT_WRITE) === 0;
    const made = this.#hypercalls.now(op.mapGrants, { refs: area.refs, readonly }, caller);
    if (isFailure(made)) return answer(made);
    const { handles, mfns } = made;
    const unmap = (gone: readonly number[], notice: op.UnmapNotice | null): void => {
      this.#hypercalls.now(op.unmapGrants, { handles: gone, notice }, caller);
    };
    const release: Release = (gone) => {
      const pages = gone.flatMap(({ page, pages: count }) =>
        Array.from({ length: count }, (_, i) => page + i),
      );
      const notice = this.#notice(area, pages);
      area.address = 0;
      unmap(
        pages.map((page) => handles[page] as number),
        notice,
      );
    };
    const mapping = mapFrames(this.#memory, session, address, frameRuns(mfns), !readonly, release);
    if (mapping === null) {
      unmap(handles, null);
      return answer(fail("ENOMEM"));
    }
    area.address = address;
    area.mfns = mfns;
    answer(0, mapping);
  }

  /** What is mapped outlives the device, as in Linux. */
  close(): void {
    for (const area of this.#areas.values()) this.#forget(area, this.#opener);
    this.#areas.clear();
  }

  /** An area that is not mapped is gone: what was to happen then does (gntdev_put_map). */
  #forget(area: Area, caller: Caller): void {
    if (area.address !== 0 || area.signal === null) return;
    const notice = { clear: null, port: area.signal };
    area.signal = null;
    this.#hypercalls.now(op.unmapGrants, { handles: [], notice }, caller);
  }

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
    const offset = this.#next;
    this.#next += count * PAGE_BYTES;
    const told = new DataView(new ArrayBuffer(8));
    told.setBigUint64(0, BigInt(offset), true);
    const written = session.process.write(argument + s.index.offset, new Uint8Array(told.buffer));
    if (isFailure(written)) return written;
    this.#areas.set(offset, { refs, address: 0, mfns: [], clearAt: null, signal: null });
    return 0;
  }

  /** Takes an offset back; what is mapped there stays until it is unmapped. */
  #remove(view: DataView): 0 | Failure {
    const s = abi.ioctl_gntdev_unmap_grant_ref;
    const [offset, count] = [s.index.get(view), s.count.get(view)];
    const area = this.#areas.get(offset);
    if (area?.refs.length !== count) return fail("ENOENT");
    this.#areas.delete(offset);
    this.#forget(area, this.#opener);
    return 0;
  }

  #find(session: Session, argument: number, view: DataView): number | Failure {
    const s = abi.ioctl_gntdev_get_offset_for_vaddr;
    const address = s.vaddr.get(view);
    for (const [offset, area] of this.#areas) {
      if (area.address === 0 || area.address !== address) continue;
      s.offset.set(view, offset);
      s.count.set(view, area.refs.length);
      return session.process.write(argument, new Uint8Array(view.buffer, view.byteOffset, s.sizeof));
    }
    return fail("EINVAL");
  }

  #notify(session: Session, view: DataView): 0 | Failure {
    const s = abi.ioctl_gntdev_unmap_notify;
    const [index, action, port] = [s.index.get(view), s.action.get(view), s.event_channel_port.get(view)];
    if ((action & ~(X.UNMAP_NOTIFY_CLEAR_BYTE | X.UNMAP_NOTIFY_SEND_EVENT)) !== 0) return fail("EINVAL");
    const signals = (action & X.UNMAP_NOTIFY_SEND_EVENT) !== 0;
    const caller = callerOf(session.process);
    if (signals && isFailure(this.#hypercalls.now(evtchn.holdPort, { port }, caller))) return fail("EINVAL");
    for (const [offset, area] of this.#areas) {
      if (index < offset || index >= offset + area.refs.length * PAGE_BYTES) continue;
      if (area.signal !== null) this.#hypercalls.now(evtchn.releasePort, { port: area.signal }, caller);
      area.clearAt = (action & X.UNMAP_NOTIFY_CLEAR_BYTE) === 0 ? null : index - offset;
      area.signal = signals ? port : null;
      return 0;
    }
    if (signals) this.#hypercalls.now(evtchn.releasePort, { port }, caller);
    return fail("ENOENT");
  }

  /** What is to happen now that these pages go: once, with the page that has the byte. */
  #notice(area: Area, pages: readonly number[]): op.UnmapNotice | null {
    const { clearAt, signal, mfns } = area;
    if (clearAt === null && signal === null) return null;
    const page = Math.floor((clearAt ?? 0) / PAGE_BYTES);
    if (!pages.includes(page)) return null;
    area.clearAt = null;
    area.signal = null;
    const mfn = mfns[page];
    const clear = clearAt === null || mfn === undefined ? null : { mfn, offset: clearAt % PAGE_BYTES };
    return { clear, port: signal };
  }
}

/** Makes the device's opener. */
export function gntdevDevices(hypercalls: Hypercalls, memory: FileMemory): OpenDevice {
  return (process) => new GntdevDevice(hypercalls, memory, callerOf(process));
}
