// SPDX-License-Identifier: Apache-2.0
//
// Every verb that is modelled.

import { consoleVerb } from "./console.ts";
import { createVerb, restoreVerb } from "./create.ts";
import { blockListVerb, blockAttachVerb, blockDetachVerb } from "./disks.ts";
import { dumpCoreVerb } from "./dump-core.ts";
import { infoVerb, dmesgVerb } from "./info.ts";
import { listVerb, claimsVerb, sharingVerb, vmListVerb } from "./list.ts";
import { memMaxVerb, memSetVerb } from "./memory.ts";
import { domidVerb, domnameVerb, renameVerb } from "./names.ts";
import { networkListVerb, networkAttachVerb, networkDetachVerb } from "./nics.ts";
import { pauseVerb, unpauseVerb, destroyVerb } from "./pause.ts";
import { saveVerb } from "./save.ts";
import { schedRtdsVerb } from "./sched-rtds.ts";
import { schedCreditVerb, schedCredit2Verb } from "./sched.ts";
import { triggerVerb, buttonPressVerb, sysrqVerb, debugKeysVerb } from "./signals.ts";
import { shutdownVerb, rebootVerb } from "./stop.ts";
import { uptimeVerb } from "./uptime.ts";
import { vcpuListVerb } from "./vcpu-list.ts";
import { vcpuPinVerb } from "./vcpu-pin.ts";
import { vcpuSetVerb } from "./vcpu-set.ts";
import type { XlVerb } from "../xl/command.ts";

/** The routine that carries a verb out; undefined for one that is not modelled. */
export const verbRoutines: { readonly [V in XlVerb]?: { name: string } } = {
  "block-attach": blockAttachVerb,
  "block-detach": blockDetachVerb,
  "block-list": blockListVerb,
  "button-press": buttonPressVerb,
  claims: claimsVerb,
  console: consoleVerb,
  create: createVerb,
  "debug-keys": debugKeysVerb,
  destroy: destroyVerb,
  dmesg: dmesgVerb,
  domid: domidVerb,
  domname: domnameVerb,
  "dump-core": dumpCoreVerb,
  info: infoVerb,
  list: listVerb,
  "mem-max": memMaxVerb,
  "mem-set": memSetVerb,
  "network-attach": networkAttachVerb,
  "network-detach": networkDetachVerb,
  "network-list": networkListVerb,
  pause: pauseVerb,
  reboot: rebootVerb,
  rename: renameVerb,
  restore: restoreVerb,
  save: saveVerb,
  "sched-credit": schedCreditVerb,
  "sched-credit2": schedCredit2Verb,
  "sched-rtds": schedRtdsVerb,
  sharing: sharingVerb,
  shutdown: shutdownVerb,
  sysrq: sysrqVerb,
  trigger: triggerVerb,
  unpause: unpauseVerb,
  uptime: uptimeVerb,
  "vcpu-list": vcpuListVerb,
  "vcpu-pin": vcpuPinVerb,
  "vcpu-set": vcpuSetVerb,
  "vm-list": vmListVerb,
};
