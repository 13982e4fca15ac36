// SPDX-License-Identifier: Apache-2.0
//
// The configuration a process makes a domain from: too big to be carried along
// by the routines that make it (libxl__domain_create_state).

import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { clonePlain } from "../engine/plain.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";

export interface CreateState {
  /** As the user gave it, with what xl added. */
  given: DomainConfig;
  /** With everything settled that it left open. */
  settled: DomainConfig;
}

/** By the process's name. */
export const createStateCell = cellType<CreateState>("libxl-create-state");

/** Starts with a configuration; one that was there is replaced. */
export function putCreateState(cells: Cells, process: string, given: DomainConfig): void {
  if (cells.get(createStateCell, process) !== undefined) cells.drop(createStateCell, process);
  cells.add(createStateCell, process, { given, settled: clonePlain(given) });
}

/** The configuration a process works with. */
export function createState(cells: Cells, process: string): DeepReadonly<CreateState> {
  return must(cells, createStateCell, process);
}

/** The settled configuration, to be read. */
export function settledConfig(cells: Cells, process: string): DomainConfig {
  return createState(cells, process).settled as DomainConfig;
}
