// SPDX-License-Identifier: Apache-2.0
//
// IOCTL_GNTDEV_GRANT_COPY (Linux, drivers/xen/gntdev.c, gntdev_ioctl_grant_copy):
// bytes between a process's memory and granted pages, without mapping them. What
// QEMU's disks read and write with.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { GrantedPlace } from "../../core/hypervisor/grant-copy.ts";
import * as op from "../../core/hypervisor/hypercall/gntdev-device.ts";
import { callerOf } from "./device.ts";
import type { Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";

const PAGE_BYTES = 4096;
/** Copies that are made together (GNTDEV_COPY_BATCH): what is wrong with one keeps the others from being made. */
const BATCH = 16;
/** Parts of one call. Linux has no limit; a host that does one call for ever serves nobody else. */
const SEGMENTS_MAX = 1 << 16;

const { ioctl_gntdev_grant_copy_segment: segment } = abi;

/** One end of a copy: a granted page's, or an address of the process's. */
type End = { readonly granted: GrantedPlace } | { readonly address: number };

/** A copy that leaves no page. */
interface Copy {
  readonly source: End;
  readonly dest: End;
  readonly length: number;
  /** Where its segment's status is. */
  readonly statusAt: number;
}

function endOf(view: DataView, side: "source" | "dest", isGranted: boolean): End {
  if (!isGranted) return { address: segment[`${side}.virt`].get(view) };
  const [domid, ref] = [segment[`${side}.foreign.domid`].get(view), segment[`${side}.foreign.ref`].get(view)];
  return { granted: { domid, ref, offset: segment[`${side}.foreign.offset`].get(view) } };
}

function advanced(end: End, by: number): End {
  if ("address" in end) return { address: end.address + by };
  return { granted: { ...end.granted, offset: end.granted.offset + by } };
}

/** Bytes up to the end of an address's page; those of grants are known to stay in theirs. */
function roomOf(end: End): number {
  return "address" in end ? PAGE_BYTES - (end.address % PAGE_BYTES) : PAGE_BYTES;
}

/** The copies of one ioctl, gathered and made. */
class Batch {
  readonly #hypercalls: Hypercalls;
  readonly #session: Session;
  #copies: Copy[] = [];
  #failed = new Set<number>();

  constructor(hypercalls: Hypercalls, session: Session) {
    this.#hypercalls = hypercalls;
    this.#session = session;
  }

  /** gntdev_grant_copy_seg */
  segment(address: number): 0 | Failure {
    const { process } = this.#session;
    const bytes = process.read(address, segment.sizeof);
    if (isFailure(bytes)) return bytes;
    const view = viewOf(bytes);
    const [flags, total] = [segment.flags.get(view), segment.len.get(view)];
    const source = endOf(view, "source", (flags & X.GNTCOPY_source_gref) !== 0);
    const dest = endOf(view, "dest", (flags & X.GNTCOPY_dest_gref) !== 0);
    for (const end of [source, dest])
      if ("granted" in end && end.granted.offset + total > PAGE_BYTES) return fail("EINVAL");
    const statusAt = address + segment.status.offset;
    const cleared = process.write(statusAt, new Uint8Array(2));
    if (isFailure(cleared)) return cleared;
    for (let done = 0; done < total;) {
      if (this.#copies.length === BATCH) {
        const made = this.make();
        if (isFailure(made)) return made;
      }
      const [from, to] = [advanced(source, done), advanced(dest, done)];
      const length = Math.min(total - done, roomOf(from), roomOf(to));
      for (const end of [from, to])
        if ("address" in end && isFailure(process.read(end.address, 1))) return fail("EFAULT");
      this.#copies.push({ source: from, dest: to, length, statusAt });
      done += length;
    }
    return 0;
  }

  /** Makes what was gathered; a segment's status is that of its first copy that failed (gntdev_copy). */
  make(): 0 | Failure {
    const copies = this.#copies;
    this.#copies = [];
    for (const copy of copies) {
      const made = this.#copy(copy);
      if (isFailure(made)) return made;
      if (made.status === 0 || this.#failed.has(copy.statusAt)) continue;
      this.#failed.add(copy.statusAt);
      const status = new Uint8Array(Int16Array.of(made.status).buffer);
      const told = this.#session.process.write(copy.statusAt, status);
      if (isFailure(told)) return told;
    }
    return 0;
  }

  #copy({ source, dest, length }: Copy): { status: number } | Failure {
    const { process } = this.#session;
    const caller = callerOf(process);
    const hypercalls = this.#hypercalls;
    if ("granted" in source && "granted" in dest)
      return hypercalls.now(op.copyBetween, { source: source.granted, dest: dest.granted, length }, caller);
    if ("granted" in dest) {
      const bytes = process.read((source as { address: number }).address, length);
      return isFailure(bytes) ? bytes : hypercalls.now(op.copyIn, { dest: dest.granted, bytes }, caller);
    }
    const read =
      "granted" in source
        ? hypercalls.now(op.copyOut, { source: source.granted, length }, caller)
        : process.read(source.address, length);
    if (isFailure(read)) return read;
    if (!(read instanceof Uint8Array) && read.status !== 0) return read;
    const written = process.write(dest.address, read instanceof Uint8Array ? read : read.bytes);
    return isFailure(written) ? written : { status: 0 };
  }
}

/**
 * Does all parts, each with a status of its own. EINVAL for one that leaves a granted page, EFAULT: those
 * gathered with it are not made either.
 */
export function grantCopy(hypercalls: Hypercalls, session: Session, view: DataView): 0 | Failure {
  const { count: countField, segments } = abi.ioctl_gntdev_grant_copy;
  const [count, address] = [countField.get(view), segments.get(view)];
  if (count > SEGMENTS_MAX) return fail("E2BIG");
  const batch = new Batch(hypercalls, session);
  for (let at = 0; at < count; at++) {
    const gathered = batch.segment(address + at * segment.sizeof);
    if (isFailure(gathered)) return gathered;
  }
  return batch.make();
}
