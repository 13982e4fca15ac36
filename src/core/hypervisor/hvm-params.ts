// SPDX-License-Identifier: Apache-2.0
//
// HVM parameters: numbers a toolstack and a guest leave with the hypervisor.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { domainCell, ShutdownCode } from "./domain.ts";

/** public/hvm/params.h. */
export const HVM_PARAM_CALLBACK_IRQ = 0;
export const HVM_PARAM_STORE_PFN = 1;
export const HVM_PARAM_STORE_EVTCHN = 2;
export const HVM_PARAM_CONSOLE_PFN = 17;
export const HVM_PARAM_CONSOLE_EVTCHN = 18;
export const HVM_PARAM_ACPI_IOPORTS_LOCATION = 19;
export const HVM_PARAM_TRIPLE_FAULT_REASON = 31;
export const HVM_PARAM_IOREQ_SERVER_PFN = 32;
export const HVM_PARAM_NR_IOREQ_SERVER_PAGES = 33;
export const HVM_NR_PARAMS = 39;

/** Identifier: `domid/index`. One that was never set is 0 and has no cell. */
export const hvmParamCell = cellType<{ value: bigint }>("hvm-param");

/** A parameter's value. */
export function hvmParam(cells: Cells, domid: number, index: number): bigint {
  return cells.get(hvmParamCell, `${domid}/${index}`)?.value ?? 0n;
}

/** Sets a parameter. */
export function setHvmParam(cells: Cells, domid: number, index: number, value: bigint): void {
  const id = `${domid}/${index}`;
  if (cells.get(hvmParamCell, id) !== undefined) cells.edit(hvmParamCell, id).value = value;
  else cells.add(hvmParamCell, id, { value });
}

/** What a new HVM or PVH domain has: a triple fault reboots it (hvm_domain_initialise). */
export function hvmDomainInit(cells: Cells, domid: number): void {
  if (cells.get(domainCell, domid)?.type === "pv") return;
  setHvmParam(cells, domid, HVM_PARAM_TRIPLE_FAULT_REASON, BigInt(ShutdownCode.reboot));
}

/** Forgets a domain's parameters. */
export function dropHvmParams(cells: Cells, domid: number): void {
  for (let index = 0; index < HVM_NR_PARAMS; index++) {
    if (cells.get(hvmParamCell, `${domid}/${index}`) !== undefined)
      cells.drop(hvmParamCell, `${domid}/${index}`);
  }
}
