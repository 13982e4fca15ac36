// SPDX-License-Identifier: Apache-2.0
//
// For tests: a hypervisor that takes binary hypercalls from a caller's memory.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, viewOf, zeroed } from "../../../abi/struct.ts";
import type { Plain } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Caller } from "../caller.ts";
import { CDF_hap, CDF_hvm } from "../create.ts";
import { TestHost } from "../testing.ts";
import type { CallerMemory } from "./caller-memory.ts";
import type { Prepared } from "./operation.ts";
import { endedCalls, endedSeen, hypercallMade, hypercallsOpened, lastResult } from "./perform.ts";
import { takeHypercall } from "./table.ts";

export const BASE = 0x10000;
export const xl: Caller = { domid: 0, process: "xl.1" };

/** Where a device model's operation is in the caller's memory, and a buffer of 256 bytes that goes with it. */
export const DM_ARGUMENT = 128;
export const DM_SECOND = 256;

/** A caller with a little memory, and everything else unmapped. */
class SmallMemory implements CallerMemory {
  readonly bytes = new Uint8Array(8192);

  read(address: number, length: number): Uint8Array | Failure {
    const at = address - BASE;
    return at < 0 || at + length > this.bytes.length ? fail("EFAULT") : this.bytes.slice(at, at + length);
  }

  write(address: number, bytes: Uint8Array): 0 | Failure {
    const at = address - BASE;
    if (at < 0 || at + bytes.length > this.bytes.length) return fail("EFAULT");
    this.bytes.set(bytes, at);
    return 0;
  }
}

/** A hypervisor that takes hypercalls as the bridge gives them. */
export class Called extends TestHost {
  readonly memory = new SmallMemory();

  constructor() {
    super({ preemptPages: 64 });
    this.world.give(hypercallsOpened, null);
  }

  call(caller: Caller, number: number, ...args: number[]): number | Failure {
    const taken = takeHypercall(number, { host: this.world, caller, memory: this.memory, args });
    return typeof taken === "number" || isFailure(taken) ? taken : this.perform(caller, taken);
  }

  perform(caller: Caller, { operation, args, reply, failed }: Prepared): number | Failure {
    const result = ((): Plain | Failure => {
      if (operation.kind === "query") return operation.run?.(this.world, caller, args as never);
      this.world.give(hypercallMade, { call: 1, operation: operation.name, caller: { ...caller }, args });
      if (operation.kind === "atomic") return lastResult(this.world);
      this.settle();
      const { result: ended } = endedCalls(this.world)[0] as { result: Plain | Failure };
      this.world.give(endedSeen, { count: 1 });
      return ended;
    })();
    if (!isFailure(result)) return reply(result as never);
    failed?.(result);
    return result;
  }

  /** Puts a domctl or sysctl at the start of the caller's memory. */
  control(struct: typeof abi.xen_domctl | typeof abi.xen_sysctl, command: number, domid = 0): DataView {
    const view = zeroed(struct);
    struct.cmd.set(view, command);
    struct.interface_version.set(view, X.XEN_DOMCTL_INTERFACE_VERSION);
    if ("domain" in struct) struct.domain.set(view, domid);
    this.memory.bytes.fill(0);
    this.memory.bytes.set(bytesOf(view));
    return viewOf(this.memory.bytes);
  }

  /** Puts a device model's operation and a buffer behind it into the caller's memory, their list at its start. */
  dmArgument(command: number, argument: DataView): void {
    const { xen_dm_op_buf: buf, xen_dm_op: op } = abi;
    const { bytes } = this.memory;
    bytes.fill(0);
    const view = viewOf(bytes);
    for (const [i, [at, size]] of [
      [DM_ARGUMENT, 72],
      [DM_SECOND, 256],
    ].entries()) {
      buf.h.set(view, BASE + (at as number), i * buf.sizeof);
      buf.size.set(view, size as number, i * buf.sizeof);
    }
    op.op.set(view, command, DM_ARGUMENT);
    bytes.set(bytesOf(argument), DM_ARGUMENT + op.u.offset);
  }

  must(result: number | Failure): void {
    if (result !== 0) throw new Error(`a hypercall gave ${JSON.stringify(result)}`);
  }

  makePvh(emulated: number = X.XEN_X86_EMU_LAPIC): number {
    const U = abi.xen_domctl.u.offset;
    const s = abi.xen_domctl_createdomain;
    const view = this.control(abi.xen_domctl, X.XEN_DOMCTL_createdomain, 0xffff);
    s.flags.set(view, CDF_hvm | CDF_hap, U);
    s.max_vcpus.set(view, 2, U);
    s.max_evtchn_port.set(view, 1023, U);
    s.max_grant_frames.set(view, -1, U);
    s.max_maptrack_frames.set(view, -1, U);
    s.grant_opts.set(view, 2, U);
    s["arch.emulation_flags"].set(view, emulated, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    const domid = abi.xen_domctl.domain.get(view);
    abi.xen_domctl_max_vcpus.max.set(this.control(abi.xen_domctl, X.XEN_DOMCTL_max_vcpus, domid), 2, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    abi.xen_domctl_max_mem.max_memkb.set(this.control(abi.xen_domctl, X.XEN_DOMCTL_max_mem, domid), 4096, U);
    this.must(this.call(xl, X.__HYPERVISOR_domctl, BASE));
    return domid;
  }
}
