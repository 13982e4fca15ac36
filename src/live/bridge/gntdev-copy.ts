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
/** Parts of one call. */
const SEGMENTS_MAX = 1 << 16;

const { ioctl_gntdev_grant_copy_segment: segment } = abi;

/** One part, at `at` in the array; the status of the grant table, or why the call as a whole fails. */
function copySegment(
  hypercalls: Hypercalls,
  session: Session,
  view: DataView,
  at: number,
): { status: number } | Failure {
  const caller = callerOf(session.process);
  const place = (side: "source" | "dest"): GrantedPlace => ({
    domid: segment[`${side}.foreign.domid`].get(view, at),
    ref: segment[`${side}.foreign.ref`].get(view, at),
    offset: segment[`${side}.foreign.offset`].get(view, at),
  });
  const [flags, length] = [segment.flags.get(view, at), segment.len.get(view, at)];
  const granted = {
    source: (flags & X.GNTCOPY_source_gref) !== 0,
    dest: (flags & X.GNTCOPY_dest_gref) !== 0,
  };
  if (length === 0) return { status: 0 };
  if (!granted.source && !granted.dest) return fail("EINVAL");
  const [source, dest] = [place("source"), place("dest")];
  const leavesPage =
    (granted.source && source.offset + length > PAGE_BYTES) ||
    (granted.dest && dest.offset + length > PAGE_BYTES);
  if (leavesPage) return fail("EINVAL");
  if (granted.source && granted.dest) return hypercalls.now(op.copyBetween, { source, dest, length }, caller);
  if (granted.dest) {
    const bytes = session.process.read(segment["source.virt"].get(view, at), length);
    return isFailure(bytes) ? bytes : hypercalls.now(op.copyIn, { dest, bytes }, caller);
  }
  const read = hypercalls.now(op.copyOut, { source, length }, caller);
  if (isFailure(read) || read.status !== 0) return read;
  const written = session.process.write(segment["dest.virt"].get(view, at), read.bytes);
  return isFailure(written) ? written : read;
}

/** Does all parts, each with a status of its own: EINVAL for one that leaves its page or has no grant, EFAULT. */
export function grantCopy(hypercalls: Hypercalls, session: Session, view: DataView): 0 | Failure {
  const { count: countField, segments } = abi.ioctl_gntdev_grant_copy;
  const [count, address] = [countField.get(view), segments.get(view)];
  if (count > SEGMENTS_MAX) return fail("E2BIG");
  const bytes = session.process.read(address, count * segment.sizeof);
  if (isFailure(bytes)) return bytes;
  const list = viewOf(bytes);
  for (let at = 0; at < count * segment.sizeof; at += segment.sizeof) {
    const copied = copySegment(hypercalls, session, list, at);
    if (isFailure(copied)) return copied;
    segment.status.set(list, copied.status, at);
  }
  const told = count === 0 ? 0 : session.process.write(address, bytes);
  return told;
}
