// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/gntalloc: a process gets pages that another domain may map, and an
// offset, at which it maps the device itself. A page is freed when neither an open
// device nor a mapping has it any more.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { bytesOf, viewOf } from "../../abi/struct.ts";
import * as op from "../../core/drivers/gntalloc.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { frameRuns } from "../../core/hypervisor/frame-runs.ts";
import * as evtchn from "../../core/hypervisor/hypercall/evtchn-device.ts";
import type { UnmapNotice } from "../../core/hypervisor/hypercall/gntdev-device.ts";
import type { FileMemory } from "../guest-memory.ts";
import { callerOf, mapFrames } from "./device.ts";
import type { Answer, Device, MmapArguments, OpenDevice, Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";

const PAGE_BYTES = 4096;
/** The most that a kernel allocates in one piece, here for the list of references (KMALLOC_MAX_SIZE). */
const KMALLOC_BYTES_MAX = 4 << 20;
const ACTIONS = X.UNMAP_NOTIFY_CLEAR_BYTE | X.UNMAP_NOTIFY_SEND_EVENT;

/** A page that is shared. */
interface Gref {
  readonly ref: number;
  readonly mfn: number;
  /** The open device, as long as it is on its list, and mappings. */
  users: number;
  notice: UnmapNotice | null;
}

/** What frees grefs has a name for it: the process, or what is left of it. */
class GntallocDevice implements Device {
  readonly #hypercalls: Hypercalls;
  readonly #memory: FileMemory;
  readonly #opener: Caller;
  /** By offset. */
  readonly #grefs = new Map<number, Gref>();
  #next = 0;

  constructor(hypercalls: Hypercalls, memory: FileMemory, opener: Caller) {
    this.#hypercalls = hypercalls;
    this.#memory = memory;
    this.#opener = opener;
  }

  ioctl(session: Session, number: number, argument: number, inline: Buffer, answer: Answer): void {
    const view = viewOf(inline);
    switch (number) {
      case X.IOCTL_GNTALLOC_ALLOC_GREF:
        return answer(this.#alloc(session, argument, view));
      case X.IOCTL_GNTALLOC_DEALLOC_GREF:
        return answer(this.#dealloc(view));
      case X.IOCTL_GNTALLOC_SET_UNMAP_NOTIFY:
        return answer(this.#notify(session, view));
      default:
        return answer(fail("ENOTTY"));
    }
  }

  /** gntalloc_mmap */
  mmap(session: Session, { address, length, offset, shared }: MmapArguments, answer: Answer): void {
    if (!shared) return answer(fail("EINVAL"));
    const grefs = this.#find(offset, length / PAGE_BYTES);
    if (grefs === null) return answer(fail("ENOENT"));
    const caller = callerOf(session.process);
    const mfns = grefs.map(({ mfn }) => mfn);
    const mapped = this.#hypercalls.now(op.mapGrefs, { mfns }, caller);
    if (isFailure(mapped)) return answer(mapped);
    for (const gref of grefs) gref.users++;
    let left = grefs.length;
    const end = (): void => {
      this.#hypercalls.now(op.unmapGrefs, { mfns }, caller);
      this.#put(grefs, caller);
    };
    // Parts of a mapping keep all of it (gntalloc_vma_close).
    const mapping = mapFrames(this.#memory, session, address, frameRuns(mfns), true, (gone) => {
      left -= gone.reduce((sum, { pages }) => sum + pages, 0);
      if (left === 0) end();
    });
    if (mapping !== null) return answer(0, mapping);
    end();
    answer(fail("ENOMEM"));
  }

  close(): void {
    const grefs = [...this.#grefs.values()];
    this.#grefs.clear();
    this.#put(grefs, this.#opener);
  }

  #alloc(session: Session, argument: number, view: DataView): number | Failure {
    const s = abi.ioctl_gntalloc_alloc_gref;
    const [to, flags, count] = [s.domid.get(view), s.flags.get(view), s.count.get(view)];
    const writable = (flags & X.GNTALLOC_FLAG_WRITABLE) !== 0;
    if (count * 4 > KMALLOC_BYTES_MAX) return fail("ENOMEM");
    const caller = callerOf(session.process);
    const made = this.#hypercalls.now(op.allocGrefs, { to, count, writable }, caller);
    if (isFailure(made)) return made;
    const { pages } = made;
    const offset = this.#next;
    this.#next += count * PAGE_BYTES;
    for (const [i, { ref, mfn }] of pages.entries())
      this.#grefs.set(offset + i * PAGE_BYTES, { ref, mfn, users: 1, notice: null });
    const told = new DataView(new ArrayBuffer(Math.max(s.sizeof, s.gref_ids.offset + count * 4)));
    told.setUint16(s.domid.offset, to, true);
    told.setUint16(s.flags.offset, flags, true);
    told.setUint32(s.count.offset, count, true);
    told.setBigUint64(s.index.offset, BigInt(offset), true);
    for (const [i, { ref }] of pages.entries()) told.setUint32(s.gref_ids.offset + i * 4, ref, true);
    return session.process.write(argument, bytesOf(told));
  }

  /** So many pages from an offset on; null where there are not. */
  #find(offset: number, count: number): Gref[] | null {
    if (count === 0 || count > op.GREFS_MAX) return null;
    const grefs: Gref[] = [];
    for (let i = 0; i < count; i++) {
      const gref = this.#grefs.get(offset + i * PAGE_BYTES);
      if (gref === undefined) return null;
      grefs.push(gref);
    }
    return grefs;
  }

  #dealloc(view: DataView): 0 | Failure {
    const s = abi.ioctl_gntalloc_dealloc_gref;
    const [offset, count] = [s.index.get(view), s.count.get(view)];
    const grefs = this.#find(offset, count);
    if (grefs === null) return fail("EINVAL");
    for (let i = 0; i < count; i++) this.#grefs.delete(offset + i * PAGE_BYTES);
    this.#put(grefs, this.#opener);
    return 0;
  }

  #notify(session: Session, view: DataView): 0 | Failure {
    const s = abi.ioctl_gntalloc_unmap_notify;
    const [index, action, port] = [s.index.get(view), s.action.get(view), s.event_channel_port.get(view)];
    const offset = index % PAGE_BYTES;
    const gref = this.#grefs.get(index - offset);
    if (gref === undefined) return fail("ENOENT");
    if ((action & ~ACTIONS) !== 0) return fail("EINVAL");
    const signals = (action & X.UNMAP_NOTIFY_SEND_EVENT) !== 0;
    const before = gref.notice?.port ?? null;
    const caller = callerOf(session.process);
    if (signals && isFailure(this.#hypercalls.now(evtchn.holdPort, { port }, caller))) return fail("EINVAL");
    if (before !== null) this.#hypercalls.now(evtchn.releasePort, { port: before }, caller);
    const clear = (action & X.UNMAP_NOTIFY_CLEAR_BYTE) === 0 ? null : { mfn: gref.mfn, offset };
    gref.notice = clear === null && !signals ? null : { clear, port: signals ? port : null };
    return 0;
  }

  /** One user fewer: pages without any are freed. */
  #put(grefs: readonly Gref[], caller: Caller): void {
    const gone = grefs.filter((gref) => --gref.users === 0);
    if (gone.length === 0) return;
    const pages = gone.map(({ ref, mfn }) => ({ ref, mfn }));
    const notices = gone.flatMap(({ notice }) => notice ?? []);
    this.#hypercalls.now(op.freeGrefs, { pages, notices }, caller);
  }
}

/** Makes the device's opener. */
export function gntallocDevices(hypercalls: Hypercalls, memory: FileMemory): OpenDevice {
  return (process) => new GntallocDevice(hypercalls, memory, callerOf(process));
}
