// SPDX-License-Identifier: Apache-2.0
//
// What every command of sysctl gets from its caller.

import type { Failure } from "../../engine/errno.ts";
import type { Arrived } from "./operation.ts";

/** The structure from the caller, and how it goes back. */
export interface SysctlCall extends Arrived {
  readonly view: DataView;
  readonly copyBack: () => 0 | Failure;
}
