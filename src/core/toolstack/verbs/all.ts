// SPDX-License-Identifier: Apache-2.0
//
// Every verb that is modelled.

import { channelListVerb } from "./channel-list.ts";
import { configUpdateVerb } from "./config-update.ts";
import { consoleVerb } from "./console.ts";
import { cpupoolCreateVerb } from "./cpupool-create.ts";
import {
  cpupoolCpuAddVerb,
  cpupoolCpuRemoveVerb,
  cpupoolDestroyVerb,
  cpupoolListVerb,
  cpupoolMigrateVerb,
  cpupoolNumaSplitVerb,
  cpupoolRenameVerb,
} from "./cpupools.ts";
import { createVerb, restoreVerb } from "./create.ts";
import { devdVerb } from "./devd.ts";
import { usbListVerb, vdisplListVerb, vkbListVerb, vsndListVerb, vtpmListVerb } from "./device-lists.ts";
import { cdEjectVerb, cdInsertVerb, qemuMonitorCommandVerb, vncviewerVerb } from "./device-model.ts";
import { blockAttachVerb, blockDetachVerb, blockListVerb } from "./disks.ts";
import { dumpCoreVerb } from "./dump-core.ts";
import { getenforceVerb, loadpolicyVerb, setParametersVerb, setenforceVerb } from "./flask.ts";
import { dmesgVerb, infoVerb, topVerb } from "./info.ts";
import { claimsVerb, listVerb, sharingVerb, vmListVerb } from "./list.ts";
import { memMaxVerb, memSetVerb } from "./memory.ts";
import { migrateVerb } from "./migrate.ts";
import { domidVerb, domnameVerb, renameVerb } from "./names.ts";
import { networkAttachVerb, networkDetachVerb, networkListVerb } from "./nics.ts";
import { destroyVerb, pauseVerb, unpauseVerb } from "./pause.ts";
import {
  pciAssignableAddVerb,
  pciAssignableListVerb,
  pciAssignableRemoveVerb,
  pciAttachVerb,
  pciDetachVerb,
  pciListVerb,
} from "./pci.ts";
import {
  psrCatSetVerb,
  psrCatShowVerb,
  psrCmtAttachVerb,
  psrCmtDetachVerb,
  psrCmtShowVerb,
  psrHwinfoVerb,
  psrMbaSetVerb,
  psrMbaShowVerb,
} from "./psr.ts";
import { saveVerb } from "./save.ts";
import { schedRtdsVerb } from "./sched-rtds.ts";
import { schedCredit2Verb, schedCreditVerb } from "./sched.ts";
import { buttonPressVerb, debugKeysVerb, sysrqVerb, triggerVerb } from "./signals.ts";
import { rebootVerb, shutdownVerb } from "./stop.ts";
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
  "cd-eject": cdEjectVerb,
  "cd-insert": cdInsertVerb,
  "channel-list": channelListVerb,
  claims: claimsVerb,
  "config-update": configUpdateVerb,
  console: consoleVerb,
  "cpupool-cpu-add": cpupoolCpuAddVerb,
  "cpupool-cpu-remove": cpupoolCpuRemoveVerb,
  "cpupool-create": cpupoolCreateVerb,
  "cpupool-destroy": cpupoolDestroyVerb,
  "cpupool-list": cpupoolListVerb,
  "cpupool-migrate": cpupoolMigrateVerb,
  "cpupool-numa-split": cpupoolNumaSplitVerb,
  "cpupool-rename": cpupoolRenameVerb,
  create: createVerb,
  "debug-keys": debugKeysVerb,
  destroy: destroyVerb,
  devd: devdVerb,
  dmesg: dmesgVerb,
  domid: domidVerb,
  domname: domnameVerb,
  "dump-core": dumpCoreVerb,
  getenforce: getenforceVerb,
  info: infoVerb,
  list: listVerb,
  loadpolicy: loadpolicyVerb,
  "mem-max": memMaxVerb,
  "mem-set": memSetVerb,
  migrate: migrateVerb,
  "network-attach": networkAttachVerb,
  "network-detach": networkDetachVerb,
  "network-list": networkListVerb,
  pause: pauseVerb,
  "pci-assignable-add": pciAssignableAddVerb,
  "pci-assignable-list": pciAssignableListVerb,
  "pci-assignable-remove": pciAssignableRemoveVerb,
  "pci-attach": pciAttachVerb,
  "pci-detach": pciDetachVerb,
  "pci-list": pciListVerb,
  "psr-cat-set": psrCatSetVerb,
  "psr-cat-show": psrCatShowVerb,
  "psr-cmt-attach": psrCmtAttachVerb,
  "psr-cmt-detach": psrCmtDetachVerb,
  "psr-cmt-show": psrCmtShowVerb,
  "psr-hwinfo": psrHwinfoVerb,
  "psr-mba-set": psrMbaSetVerb,
  "psr-mba-show": psrMbaShowVerb,
  "qemu-monitor-command": qemuMonitorCommandVerb,
  reboot: rebootVerb,
  rename: renameVerb,
  restore: restoreVerb,
  save: saveVerb,
  "sched-credit": schedCreditVerb,
  "sched-credit2": schedCredit2Verb,
  "sched-rtds": schedRtdsVerb,
  "set-parameters": setParametersVerb,
  setenforce: setenforceVerb,
  sharing: sharingVerb,
  shutdown: shutdownVerb,
  sysrq: sysrqVerb,
  top: topVerb,
  trigger: triggerVerb,
  unpause: unpauseVerb,
  uptime: uptimeVerb,
  "usb-list": usbListVerb,
  "vcpu-list": vcpuListVerb,
  "vcpu-pin": vcpuPinVerb,
  "vcpu-set": vcpuSetVerb,
  "vdispl-list": vdisplListVerb,
  "vkb-list": vkbListVerb,
  "vm-list": vmListVerb,
  vncviewer: vncviewerVerb,
  "vsnd-list": vsndListVerb,
  "vtpm-list": vtpmListVerb,
};
