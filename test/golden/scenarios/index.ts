// SPDX-License-Identifier: Apache-2.0
//
// Scenarios by the name of the folder that their recording is in.

import { diskAndNetwork } from "./devices.ts";
import { domidAllocation } from "./domids.ts";
import { xlErrors } from "./errors.ts";
import * as lifecycle from "./lifecycle.ts";
import { saveCheckpoint, saveRestore } from "./save.ts";
import type { Scenario } from "./steps.ts";
import { zombieForeignMap, zombieGrantMap, zombieSharedInfo } from "./zombies.ts";

export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map([
  ["a-create-paused-unpause", lifecycle.createPausedUnpause],
  ["b-orderly-shutdown", lifecycle.orderlyShutdown],
  ["c-guest-poweroff", lifecycle.guestPoweroff],
  ["d-guest-reboot-restart", lifecycle.guestRebootRestart],
  ["d2-xl-reboot", lifecycle.xlReboot],
  ["e1-crash-destroy", lifecycle.crashDestroy],
  ["e2-crash-preserve", lifecycle.crashPreserve],
  ["f-destroy-running", lifecycle.destroyRunning],
  ["g-pause-unpause", lifecycle.pauseUnpause],
  ["h-rename", lifecycle.rename],
  ["i1-save-restore", saveRestore],
  ["i2-save-checkpoint", saveCheckpoint],
  ["j-two-domains", lifecycle.twoDomains],
  ["dev-vbd-vif", diskAndNetwork],
  ["m-domid-allocation", domidAllocation],
  ["err-xl-errors", xlErrors],
  ["k1-zombie-foreign-map", zombieForeignMap],
  ["k2-zombie-grant-map", zombieGrantMap],
  ["k3-zombie-sharedinfo", zombieSharedInfo],
]);
