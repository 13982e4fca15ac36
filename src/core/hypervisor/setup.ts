// SPDX-License-Identifier: Apache-2.0
//
// Boot: the machine's memory, the hypervisor's own state, and dom0
// (start_xen, construct_dom0).

import { must } from "../engine/cells.ts";
import { assert, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
// eslint-disable-next-line import/no-unassigned-import -- declares a fault that nothing asks for
import "./forget-put.ts";
import { consoleInit, printk } from "./console-ring.ts";
import { cpupoolInit } from "./cpupool.ts";
import { domainCreate } from "./create.ts";
import { domainCell, domainPagesCell, hardwareDomid, NO_HANDLE } from "./domain.ts";
import { domidReserve, domidRoverCell } from "./domid.ts";
import { assignPages } from "./frames.ts";
import { allocHeapPages, freeHeapPages, heapCell, MAX_ORDER } from "./heap.ts";
import { defaultMachine, HIGH_START, LOW_END, machineCell } from "./machine.ts";
import type { MachineConfig } from "./machine.ts";
import { unpauseBySystemcontroller } from "./pause.ts";
import { changeVcpu, newVcpu, VPF_down } from "./vcpu.ts";
import { xenVersion } from "./version.ts";

/** Starts the hypervisor on a host without any state yet, with dom0 built and running. */
export function startHypervisor(host: Host, config: Partial<MachineConfig> = {}): void {
  const machine = { ...defaultMachine, ...config };
  assert(machine.dom0Pages + machine.xenPages < machine.totalPages, "the machine is too small for dom0");
  host.add(machineCell, 0, { ...machine, halted: null });
  host.add(heapCell, 0, { freePages: 0, outstandingClaims: 0 });
  host.add(domidRoverCell, 0, { rover: 0 });
  cpupoolInit(host);
  consoleInit(host);
  const { major, minor, extra } = xenVersion(machine.version);
  printk(host, `Xen version ${major}.${minor}${extra} (xenolith)`);
  printk(host, `Command line: ${machine.commandLine}`);
  const low = Math.min(machine.totalPages, LOW_END);
  freeHeapPages(host, machine.xenPages, low - machine.xenPages);
  if (machine.totalPages > low) freeHeapPages(host, HIGH_START, machine.totalPages - low);
  printk(host, `System RAM: ${Math.floor(machine.totalPages / 256)}MB (${machine.totalPages * 4}kB)`);
  constructDom0(host, machine);
}

function constructDom0(host: Host, machine: MachineConfig): void {
  const domid = hardwareDomid;
  domidReserve(host, domid);
  const made = domainCreate(
    host,
    domid,
    {
      flags: 0,
      ssidref: 0,
      handle: NO_HANDLE,
      iommuOpts: 0,
      maxVcpus: machine.dom0Vcpus,
      maxEvtchnPort: -1,
      maxGrantFrames: -1,
      maxMaptrackFrames: -1,
      grantOpts: 2,
      vmtraceSize: 0,
      cpupoolId: 0,
      emulationFlags: 0,
      miscFlags: 0,
    },
    true,
  );
  assert(!isFailure(made), "dom0 could not be created");
  host.edit(domainPagesCell, domid).maxPages = machine.dom0Pages;
  giveMemory(host, domid, machine.dom0Pages);
  for (let vcpu = 0; vcpu < machine.dom0Vcpus; vcpu++) {
    newVcpu(host, domid, vcpu);
    host.edit(domainCell, domid).nrVcpus = vcpu + 1;
    changeVcpu(host, domid, vcpu, (v) => {
      v.pauseFlags &= ~VPF_down;
      v.isInitialised = true;
      v.upcallMask = false;
    });
  }
  unpauseBySystemcontroller(host, domid);
  printk(host, `Dom${domid} has maximum ${machine.dom0Vcpus} VCPUs`);
}

/**
 * dom0's memory: below 4 GiB as far as there is any, so that what is above is left to guests; in blocks as
 * large as fit.
 */
function giveMemory(host: Host, domid: number, pages: number): void {
  for (let left = pages, order = MAX_ORDER; left > 0;) {
    const size = 2 ** order;
    const mfn = size <= left ? blockFor(host, order) : -1;
    if (mfn < 0) {
      assert(order > 0, "the machine is too small for dom0");
      order--;
      continue;
    }
    const assigned = assignPages(host, domid, mfn, size, mfn);
    assert(
      !isFailure(assigned) && must(host, domainPagesCell, domid).totPages <= pages,
      "dom0 gets its memory",
    );
    left -= size;
  }
}

function blockFor(host: Host, order: number): number {
  const low = allocHeapPages(host, order, HIGH_START);
  return low < 0 ? allocHeapPages(host, order) : low;
}
