// SPDX-License-Identifier: Apache-2.0
//
// dm_op: what device models ask for. The operation's structure is in the first
// of the caller's buffers.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { targeted } from "../caller.ts";
import { dmopRemoteShutdown } from "../sched-op.ts";
import type { CallerMemory } from "./caller-memory.ts";
import { operation, prepare, query, unknownCall } from "./operation.ts";
import type { Arrived, Prepared } from "./operation.ts";

/** A buffer of the caller's. */
export interface DmBuffer {
  readonly address: number;
  readonly size: number;
}

const remoteShutdown = operation("dm_op remote_shutdown", dmopRemoteShutdown);
const nrVcpus = query("dm_op nr_vcpus", (host, caller, { domid }: { domid: number }) => {
  const d = targeted(host, caller, domid);
  return isFailure(d) ? d : d.type === "pv" ? fail("EINVAL") : d.maxVcpus;
});

/** The first buffer as a structure; what the caller's buffer is too short for is zero. */
function argument(memory: CallerMemory, buffer: DmBuffer): DataView | Failure {
  const bytes = memory.read(buffer.address, Math.min(buffer.size, abi.xen_dm_op.sizeof));
  if (isFailure(bytes)) return bytes;
  const whole = new Uint8Array(abi.xen_dm_op.sizeof);
  whole.set(bytes);
  return viewOf(whole);
}

/** `dm_op(domid, nr_bufs, bufs)`, its buffers already taken from the caller. */
export function dmOp(
  call: Arrived,
  domid: number,
  buffers: readonly DmBuffer[],
): Prepared | number | Failure {
  const [first] = buffers;
  if (first === undefined) return fail("EFAULT");
  const view = argument(call.memory, first);
  if (isFailure(view)) return view;
  const s = abi.xen_dm_op;
  const command = s.op.get(view);
  if (command === X.XEN_DMOP_remote_shutdown) {
    return prepare(remoteShutdown, { domid, reason: s["u.remote_shutdown.reason"].get(view) });
  }
  if (command === X.XEN_DMOP_nr_vcpus) {
    return prepare(nrVcpus, { domid }, (count) => {
      s["u.nr_vcpus.vcpus"].set(view, count);
      return call.memory.write(first.address, new Uint8Array(view.buffer, 0, Math.min(first.size, s.sizeof)));
    });
  }
  return unknownCall(`dm_op ${command}`);
}
