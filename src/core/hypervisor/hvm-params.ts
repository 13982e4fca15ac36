// SPDX-License-Identifier: Apache-2.0
//
// HVM parameters: numbers a toolstack and a guest leave with the hypervisor.

import { HVM_PARAM_TRIPLE_FAULT_REASON } from "../../abi/4.17/constants.ts";
import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { domainCell, ShutdownCode } from "./domain.ts";

/** How many there are. */
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
