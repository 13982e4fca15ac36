// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/privcmd: hypercalls, and mappings of other domains' memory.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { DOMID_INVALID, DOMID_SELF } from "../../core/hypervisor/domid.ts";
import type { MappedFrames } from "../../core/hypervisor/foreign-map.ts";
import { frameRuns } from "../../core/hypervisor/frame-runs.ts";
import { readU64s } from "../../core/hypervisor/hypercall/caller-memory.ts";
import { dmOp } from "../../core/hypervisor/hypercall/dm-op.ts";
import type { DmBuffer } from "../../core/hypervisor/hypercall/dm-op.ts";
import { isUnknown } from "../../core/hypervisor/hypercall/operation.ts";
import type { Arrived, Family, Prepared, Unknown } from "../../core/hypervisor/hypercall/operation.ts";
import * as op from "../../core/hypervisor/hypercall/privcmd-device.ts";
import { isAbsent, takeHypercall } from "../../core/hypervisor/hypercall/table.ts";
import type { FileMemory } from "../guest-memory.ts";
import { PROT_WRITE, callerOf, mapFrames, negative, piecesOf } from "./device.ts";
import type { Answer, Device, MmapArguments, OpenDevice, Session } from "./device.ts";
import type { Done, Hypercalls } from "./hypercalls.ts";
import type { Release } from "./mappings.ts";
import { readWord } from "./protocol.ts";
import type { Place, Standing } from "./protocol.ts";
import type { StandingAnswers } from "./standing.ts";

/** Pages of one batch; Linux takes as many as fit an int. */
const BATCH_MAX = 1 << 20;
/** Parts of one multicall. */
const MULTICALL_MAX = 1 << 12;
/** Words of `privcmd_hypercall` behind the hypercall's number. */
const REGISTERS = [1, 2, 3, 4, 5];
/** Buffers of one device model operation (Linux, dm_op_max_nr_bufs). */
const DM_BUFFERS_MAX = 16;
/** Bytes of one of them (dm_op_buf_max_size). */
const DM_BUFFER_BYTES_MAX = 4096;

/** Operations that a kernel does on its own event channels; a process has /dev/xen/evtchn for that. */
const KERNELS_OWN: ReadonlySet<string> = new Set([
  "evtchn_op bind_interdomain",
  "evtchn_op bind_virq",
  "evtchn_op bind_ipi",
  "evtchn_op bind_vcpu",
  "evtchn_op close",
  "evtchn_op send",
  "evtchn_op unmask",
]);
/** Operations that take something from the domain they name: from the caller's own, under its kernel. */
const TAKING: ReadonlySet<string> = new Set([
  "evtchn_op reset",
  "memory_op decrease_reservation",
  "mmuext_op pin_table",
]);

/**
 * Whether a process asks for what would break its own kernel under it. Real Xen
 * would let it, and with dom0's the machine would be lost; here it is refused.
 */
function breaksOwnKernel(caller: Caller, { operation, args }: Prepared): boolean {
  if (KERNELS_OWN.has(operation.name)) return true;
  if (!TAKING.has(operation.name)) return false;
  const { domid } = args as { domid: number };
  return domid === caller.domid || domid === DOMID_SELF;
}

/** What can be mapped that is no guest frame. */
const resources: {
  readonly [type: number]: { size: typeof op.grantTableSize; map: typeof op.mapGrantTable };
} = {
  [X.XENMEM_resource_ioreq_server]: { size: op.ioreqServerSize, map: op.mapIoreqServer },
  [X.XENMEM_resource_grant_table]: { size: op.grantTableSize, map: op.mapGrantTable },
};

/** What a batch asks for. */
interface Batch {
  readonly count: number;
  readonly domid: number;
  readonly address: number;
  /** Where the numbers of the frames are. */
  readonly frames: number;
  /** Where each page's result goes; null for the frames' own numbers, in the first version. */
  readonly results: number | null;
}

function batchIn(number: number, inline: Buffer): Batch {
  const { num, dom, addr, arr, err } = abi.privcmd_mmapbatch_v2;
  const view = viewOf(inline);
  const results = number === X.IOCTL_PRIVCMD_MMAPBATCH ? null : err.get(view);
  const [count, domid] = [num.get(view), dom.get(view)];
  return { count, domid, address: addr.get(view), frames: arr.get(view), results };
}

/**
 * Whether the kernel takes pages for a place: all of one, the first time, and afterwards those that
 * nothing is mapped at. What the library could not say is taken to be so.
 */
function fits(session: Session, place: Place | null, address: number, count: number): boolean {
  if (place === null) return true;
  if (place.address !== address || count > place.pages) return false;
  return place.named ? !session.mappings.maps(address, count) : place.starts && count === place.pages;
}

/** Says how each page went: 0 or a negative errno, or bits in what was its frame's number. */
function tellErrors({ process }: Session, batch: Batch, { errors }: MappedFrames): 0 | Failure {
  if (batch.results !== null) {
    const told = new Int32Array(batch.count);
    for (const { page, count, errno } of errors) told.fill(negative({ errno }), page, page + count);
    return process.write(batch.results, new Uint8Array(told.buffer));
  }
  for (const { page, count, errno } of errors) {
    const at = batch.frames + page * 8;
    const frames = process.read(at, count * 8);
    if (isFailure(frames)) return frames;
    const bits = errno === "ENOENT" ? X.PRIVCMD_MMAPBATCH_PAGED_ERROR : X.PRIVCMD_MMAPBATCH_MFN_ERROR;
    const view = viewOf(frames);
    for (let i = 0; i < count; i++) view.setUint32(i * 8, view.getUint32(i * 8, true) | bits, true);
    const told = process.write(at, frames);
    if (isFailure(told)) return told;
  }
  return 0;
}

/** What an open device needs of the host. */
export interface PrivcmdHost {
  readonly hypercalls: Hypercalls;
  readonly memory: FileMemory;
  readonly standing: StandingAnswers;
  /** Told of each hypercall nobody knows. */
  readonly unknown: (what: Unknown, process: string) => void;
}

class PrivcmdDevice implements Device {
  readonly holdsPlaces = true;
  readonly #host: PrivcmdHost;
  /** The only domain it may act on, once restricted. */
  #restrictedTo: number | null = null;

  constructor(host: PrivcmdHost) {
    this.#host = host;
  }

  ioctl(
    session: Session,
    number: number,
    argument: number,
    inline: Buffer,
    answer: Answer,
    place: Place | null,
  ): void {
    switch (number) {
      case X.IOCTL_PRIVCMD_HYPERCALL:
        return this.#hypercall(session, inline, answer);
      case X.IOCTL_PRIVCMD_MMAPBATCH:
      case X.IOCTL_PRIVCMD_MMAPBATCH_V2:
        return this.#mapBatch(session, batchIn(number, inline), place, answer);
      case X.IOCTL_PRIVCMD_MMAP_RESOURCE:
        return this.#mapResource(session, argument, viewOf(inline), place, answer);
      case X.IOCTL_PRIVCMD_DM_OP:
        return this.#dmOp(session, viewOf(inline), answer);
      case X.IOCTL_PRIVCMD_RESTRICT:
        return answer(this.#restrict(inline.readUInt16LE(0)));
      default:
        return answer(fail("ENOTTY"));
    }
  }

  /** A place for later mappings. */
  mmap(_session: Session, _asked: MmapArguments, answer: Answer): void {
    answer(0);
  }

  close(): void {}

  #restrict(domid: number): 0 | Failure {
    if (this.#restrictedTo !== null && this.#restrictedTo !== domid) return fail("EINVAL");
    this.#host.standing.end();
    // So the driver has it that there is no restriction.
    this.#restrictedTo = domid === DOMID_INVALID ? null : domid;
    return 0;
  }

  #permits(domid: number): boolean {
    return this.#restrictedTo === null || this.#restrictedTo === domid;
  }

  #arrived(session: Session, args: readonly number[]): Arrived & { caller: Caller } {
    const caller = callerOf(session.process);
    return { host: this.#host.hypercalls.driver.world, caller, memory: session.process, args };
  }

  #hypercall(session: Session, inline: Buffer, answer: Answer): void {
    if (this.#restrictedTo !== null) return answer(fail("EPERM"));
    const number = readWord(inline, 0);
    const args = REGISTERS.map((register) => readWord(inline, register * 8));
    this.#make(session, number, args, isAbsent(number) ? (result) => answer(result, "always") : answer);
  }

  /** Makes a hypercall, a multicall part by part. */
  #make(session: Session, number: number, args: readonly number[], done: Done): void {
    if (number === X.__HYPERVISOR_multicall)
      return this.#multicall(session, args[0] ?? 0, args[1] ?? 0, done);
    const call = this.#arrived(session, args);
    this.#perform(session, call.caller, takeHypercall(number, call), done);
  }

  #perform(session: Session, caller: Caller, taken: ReturnType<Family>, done: Done): void {
    if (isUnknown(taken)) this.#host.unknown(taken, session.process.name);
    if (typeof taken === "number" || isFailure(taken)) return done(taken);
    if (breaksOwnKernel(caller, taken)) return done(fail("EPERM"));
    this.#host.hypercalls.perform(taken, caller, done);
  }

  /** Each part's result goes into its entry; the next begins when it has ended. */
  #multicall(session: Session, address: number, count: number, done: Done): void {
    const { sizeof, op: opField, result: resultField, args: argsField } = abi.multicall_entry;
    const next = (index: number): void => {
      if (index === count) return done(0);
      const at = address + index * sizeof;
      const bytes = session.process.read(at, sizeof);
      if (isFailure(bytes)) return done(bytes);
      const view = viewOf(bytes);
      const args = Array.from({ length: 6 }, (_, i) =>
        Number(view.getBigUint64(argsField.offset + i * 8, true)),
      );
      this.#make(session, opField.get(view), args, (result) => {
        const value = isFailure(result) ? negative(result) : result;
        const told = new DataView(new ArrayBuffer(8));
        told.setBigInt64(0, BigInt(value), true);
        const written = session.process.write(at + resultField.offset, new Uint8Array(told.buffer));
        if (isFailure(written)) return done(written);
        next(index + 1);
      });
    };
    if (count > MULTICALL_MAX) return done(fail("E2BIG"));
    next(0);
  }

  /** privcmd_ioctl_mmap_batch */
  #mapBatch(session: Session, batch: Batch, place: Place | null, answer: Answer): void {
    const { count, domid, address } = batch;
    if (!this.#permits(domid)) return answer(fail("EPERM"));
    if (count === 0 || count > BATCH_MAX) return answer(fail("EINVAL"));
    const list = readU64s(session.process, batch.frames, count);
    if (isFailure(list)) return answer(list);
    if (!fits(session, place, address, count)) {
      const told = tellErrors(session, batch, { mfns: [], errors: [] });
      return answer(isFailure(told) ? told : fail("EINVAL"));
    }
    const gfns = frameRuns(list);
    const { hypercalls, memory } = this.#host;
    const caller = callerOf(session.process);
    if (hypercalls.now(op.batchMapsNothing, { domid, gfns }, caller) === true) {
      const none: MappedFrames = { mfns: [], errors: [{ page: 0, count, errno: "EINVAL" }] };
      const told = tellErrors(session, batch, none);
      const stands = isFailure(told) ? undefined : this.#standing(batch, list[0] as number, place, caller);
      return answer(told, stands);
    }
    // A place nobody knows is writable.
    const readonly = place !== null && (place.prot & PROT_WRITE) === 0;
    const mapped = hypercalls.now(op.mapBatch, { domid, gfns, readonly }, caller);
    if (isFailure(mapped)) {
      // The hypervisor refuses each page's update (xen_remap_pfn).
      const all: MappedFrames = { mfns: [], errors: [{ page: 0, count, errno: mapped.errno }] };
      return answer(tellErrors(session, batch, all));
    }
    const release = this.#unmapper(caller, readonly);
    const mapping = mapFrames(memory, session, address, mapped.mfns, !readonly, release);
    if (mapping === null) {
      release(piecesOf(mapped.mfns));
      return answer(fail("ENOMEM"));
    }
    const told = tellErrors(session, batch, mapped);
    if (!isFailure(told)) return answer(0, mapping);
    session.mappings.unmap({ mapping: mapping.id, first: 0, pages: count });
    answer(told);
  }

  /** That a frame is not there is true of those up to the next one, until the host takes a step. */
  #standing(batch: Batch, gfn: number, place: Place | null, caller: Caller): Standing | undefined {
    const { count, domid, results } = batch;
    if (count !== 1 || results === null || place === null) return undefined;
    const { hypercalls, standing } = this.#host;
    const last = hypercalls.now(op.lastMissing, { domid, gfn }, caller);
    if (isFailure(last)) return undefined;
    const { dom, arr, err } = abi.privcmd_mmapbatch_v2;
    return {
      count: standing.give(),
      place: place.known,
      first: gfn,
      last,
      same: dom.offset + dom.size,
      from: arr.offset / 8,
      to: err.offset / 8,
      told: negative(fail("EINVAL")),
    };
  }

  /** Gives back what pages hold that were mapped by frame. */
  #unmapper(caller: Caller, readonly: boolean): Release {
    return (gone) => {
      const mfns = gone.flatMap(({ mfn, pages }) => [mfn, pages]);
      this.#host.hypercalls.now(op.unmapBatch, { mfns, readonly }, caller);
    };
  }

  /** privcmd_ioctl_mmap_resource */
  #mapResource(
    session: Session,
    argument: number,
    view: DataView,
    place: Place | null,
    answer: Answer,
  ): void {
    const s = abi.privcmd_mmap_resource;
    const { hypercalls, memory } = this.#host;
    const [domid, address] = [s.dom.get(view), s.addr.get(view)];
    const [frame, count] = [s.idx.get(view), s.num.get(view)];
    const caller = callerOf(session.process);
    if (!this.#permits(domid)) return answer(fail("EPERM"));
    if ((address === 0) !== (count === 0)) return answer(fail("EINVAL"));
    if (address !== 0 && place !== null && place.address !== address) return answer(fail("EINVAL"));
    const id = s.id.get(view);
    const resource = resources[s.type.get(view)];
    if (resource === undefined) return answer(fail("EOPNOTSUPP"));
    if (address === 0) {
      const size = hypercalls.now(resource.size, { domid, id }, caller);
      if (isFailure(size)) return answer(size);
      s.num.set(view, size);
      return answer(session.process.write(argument, new Uint8Array(view.buffer, view.byteOffset, s.sizeof)));
    }
    if (count > BATCH_MAX) return answer(fail("EINVAL"));
    const acquired = hypercalls.now(resource.map, { domid, id, frame, count }, caller);
    if (isFailure(acquired)) return answer(acquired);
    const mfns = frameRuns(acquired.mfns);
    const release = this.#unmapper(caller, false);
    const mapping = mapFrames(memory, session, address, mfns, true, release);
    if (mapping !== null) return answer(0, mapping);
    release(piecesOf(mfns));
    answer(fail("ENOMEM"));
  }

  #dmOp(session: Session, view: DataView, answer: Answer): void {
    const s = abi.privcmd_dm_op;
    const [domid, count] = [s.dom.get(view), s.num.get(view)];
    if (!this.#permits(domid)) return answer(fail("EPERM"));
    // So libxendevicemodel asks whether the kernel knows the call at all.
    if (count === 0) return answer(0);
    if (count > DM_BUFFERS_MAX) return answer(fail("E2BIG"));
    const { sizeof, uptr, size } = abi.privcmd_dm_op_buf;
    const bytes = session.process.read(s.ubufs.get(view), count * sizeof);
    if (isFailure(bytes)) return answer(bytes);
    const list = viewOf(bytes);
    const buffers = Array.from({ length: count }, (_, i): DmBuffer => ({
      address: uptr.get(list, i * sizeof),
      size: size.get(list, i * sizeof),
    }));
    if (buffers.some((buffer) => buffer.size > DM_BUFFER_BYTES_MAX)) return answer(fail("E2BIG"));
    for (const buffer of buffers)
      if (buffer.size > 0 && isFailure(session.process.read(buffer.address, buffer.size)))
        return answer(fail("EFAULT"));
    const call = this.#arrived(session, []);
    this.#perform(session, call.caller, dmOp(call, domid, buffers), answer);
  }
}

/** Makes the device's opener. */
export function privcmdDevices(host: PrivcmdHost): OpenDevice {
  return () => new PrivcmdDevice(host);
}
