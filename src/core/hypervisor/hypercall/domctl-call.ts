// SPDX-License-Identifier: Apache-2.0
//
// What commands of domctl have in common.

import type { Failure } from "../../engine/errno.ts";
import type { Arrived, Prepared } from "./operation.ts";

/** The structure from the caller, its domain, and how it goes back. */
export interface DomctlCall extends Arrived {
  readonly view: DataView;
  readonly domid: number;
  readonly copyBack: () => 0 | Failure;
}

/** Takes one command's arguments. */
export type DomctlCommand = (call: DomctlCall) => Prepared | number | Failure;
