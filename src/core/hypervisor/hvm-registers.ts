// SPDX-License-Identifier: Apache-2.0
//
// A translated domain's registers as vcpu_guest_context, which is the form PV
// domains' have (xen/arch/x86/domctl.c, arch_get_info_guest).

import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { bytesOf, getBig, setBig, viewOf, zeroed } from "../../abi/struct.ts";
import type { NumberField } from "../../abi/struct.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { loadedRecord, storeRecord } from "./hvm-context.ts";

const CPU = abi.hvm_hw_cpu;
const CONTEXT = abi.vcpu_guest_context;

/** Registers that both forms have. */
const pairs: readonly (readonly [hvm: NumberField, context: NumberField])[] = [
  [CPU.rax, CONTEXT["user_regs.rax"]],
  [CPU.rbx, CONTEXT["user_regs.rbx"]],
  [CPU.rcx, CONTEXT["user_regs.rcx"]],
  [CPU.rdx, CONTEXT["user_regs.rdx"]],
  [CPU.rbp, CONTEXT["user_regs.rbp"]],
  [CPU.rsi, CONTEXT["user_regs.rsi"]],
  [CPU.rdi, CONTEXT["user_regs.rdi"]],
  [CPU.rsp, CONTEXT["user_regs.rsp"]],
  [CPU.r8, CONTEXT["user_regs.r8"]],
  [CPU.r9, CONTEXT["user_regs.r9"]],
  [CPU.r10, CONTEXT["user_regs.r10"]],
  [CPU.r11, CONTEXT["user_regs.r11"]],
  [CPU.r12, CONTEXT["user_regs.r12"]],
  [CPU.r13, CONTEXT["user_regs.r13"]],
  [CPU.r14, CONTEXT["user_regs.r14"]],
  [CPU.r15, CONTEXT["user_regs.r15"]],
  [CPU.rip, CONTEXT["user_regs.rip"]],
  [CPU.rflags, CONTEXT["user_regs.rflags"]],
];

/** Control registers by their number in the context's array. */
const controls: readonly (readonly [field: NumberField, index: number])[] = [
  [CPU.cr0, 0],
  [CPU.cr2, 2],
  [CPU.cr3, 3],
  [CPU.cr4, 4],
];

function record(cells: Cells, domid: number, vcpu: number): Uint8Array {
  const { typecode, length } = hvmSave.CPU;
  return loadedRecord(cells, domid, typecode, vcpu) ?? bytesOf(zeroed({ sizeof: length }));
}

/** A vCPU's registers as a context; whether it is up is not in them. */
export function hvmGuestContext(cells: Cells, domid: number, vcpu: number): Uint8Array {
  const cpu = viewOf(record(cells, domid, vcpu));
  const context = zeroed(CONTEXT);
  for (const [from, to] of pairs) setBig(context, to, getBig(cpu, from));
  for (const [field, index] of controls)
    context.setBigUint64(CONTEXT.ctrlreg.offset + index * 8, getBig(cpu, field), true);
  return bytesOf(context);
}

/** Gives a vCPU the registers of a context. */
export function setHvmGuestContext(host: Host, domid: number, vcpu: number, context: Uint8Array): void {
  if (context.length < CONTEXT.sizeof) return;
  const bytes = record(host, domid, vcpu);
  for (const [to, from] of pairs) setBig(viewOf(bytes), to, getBig(viewOf(context.slice()), from));
  storeRecord(host, domid, { typecode: hvmSave.CPU.typecode, instance: vcpu, bytes });
}
