// SPDX-License-Identifier: Apache-2.0
//
// A guest's kernel gives way to the next one in the same domain. Its old event
// channels are closed by then: the toolstack has made a soft reset of it.

import { HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_STORE_EVTCHN } from "../../abi/4.17/constants.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { hvmParam } from "../hypervisor/hvm-params.ts";
import { changeVcpu, vcpusOf } from "../hypervisor/vcpu.ts";
import { startGuest } from "./boot.ts";
import { guestOf } from "./guest.ts";
import { RELOCATE_KERNEL } from "./reboot.ts";
import { setVcpuOnline } from "./smp.ts";

/** What is added to the next kernel's command line: it is not to do the same again. */
const NEXT_MODE = "mode=idle";

/** Starts the next kernel: rings lie where they were, ports are what the HVM parameters say. */
function startNextKernel(host: Host, domid: number): void {
  const { type, commandLine, nrVcpus, storeMfn, consoleMfn } = guestOf(host, domid);
  for (const [vcpu] of vcpusOf(host, must(host, domainCell, domid))) {
    if (vcpu === 0) continue;
    setVcpuOnline(host, domid, vcpu, false);
    changeVcpu(host, domid, vcpu, (v) => void (v.isInitialised = false));
  }
  startGuest(host, {
    domid,
    type,
    commandLine: `${commandLine} ${NEXT_MODE}`,
    nrVcpus,
    storeMfn,
    storePort: Number(hvmParam(host, domid, HVM_PARAM_STORE_EVTCHN)),
    consoleMfn,
    consolePort: Number(hvmParam(host, domid, HVM_PARAM_CONSOLE_EVTCHN)),
  });
}

/** The last step of the old kernel, which ends with it. */
routine(
  RELOCATE_KERNEL,
  (a: { domid: number }) => ({ ...a }),
  ({ step }) => [step("jmp", (host, l) => startNextKernel(host, l.domid))],
);
