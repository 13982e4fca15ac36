// SPDX-License-Identifier: Apache-2.0
//
// dom0's kernel: it makes the page and the port xenstored will find, and sets
// itself up once xenstored has answered there (Linux xenbus_init,
// xenbus_probe_thread).

import { blkback } from "../drivers/blkback.ts";
import { netback } from "../drivers/netback.ts";
import { must } from "../engine/cells.ts";
import { assert, isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { domainCell, domainPagesCell } from "../hypervisor/domain.ts";
import { allocUnbound } from "../hypervisor/event-channel-op.ts";
import { evtchnPort } from "../hypervisor/port.ts";
import { xsInit } from "../xenbus/comms.ts";
import { kthreadRun } from "../xenbus/kthread.ts";
import { mtwatchInit } from "../xenbus/mtwatch.ts";
import type { XenwatchPolicy } from "../xenbus/xenbus.ts";
import { xenbusRegisterDriver } from "../xenbus/probe.ts";
import { startBalloon } from "./balloon.ts";
import { startKernel } from "./early.ts";
import { setupCpuWatcher } from "./cpu-hotplug.ts";
import { xenbusProbe } from "./linux.ts";
import { allocPage } from "../drivers/pages.ts";
import { pagesInUseCell } from "../hypervisor/pages-in-use.ts";

/** What dom0's kernel is started with. */
export interface Dom0Options {
  policy?: XenwatchPolicy;
  /** Modules that are loaded once xenstore can be reached; the backends' where nobody says otherwise. */
  modules?: readonly string[];
}

const xenbusProbeThread = routine(
  "xenbus_probe_thread",
  (a: { mfn: number; port: number; policy: XenwatchPolicy; modules: readonly string[] }) => ({
    ...a,
    nrVcpus: 0,
    module: "",
  }),
  ({ waitFor, step, call, each }) => [
    waitFor("wait for xenstored", (host, l) => evtchnPort(host, 0, l.port)?.state === "interdomain"),
    step("xs_init", (host, l) => {
      xsInit(host, 0, l.mfn, l.port, { policy: l.policy });
      l.nrVcpus = must(host, domainCell, 0).nrVcpus;
    }),
    call("mtwatch_init", mtwatchInit, (l) => ({ domid: 0, policy: l.policy })),
    call("xenbus_probe", xenbusProbe, () => ({ domid: 0, control: true })),
    call("setup_vcpu_hotplug_event", setupCpuWatcher, (l) => ({ domid: 0, nrVcpus: l.nrVcpus })),
    each(
      "modprobe",
      (l) => l.modules,
      (l, module) => {
        l.module = module;
      },
      [call("xenbus_register_backend", xenbusRegisterDriver, (l) => ({ domid: 0, module: l.module }))],
    ),
  ],
);

/**
 * Starts dom0's kernel: its page and port are what xenstored is to be started
 * with, everything else follows when it has bound the port.
 */
export function startDom0Kernel(host: Host, options: Dom0Options = {}): { mfn: number; port: number } {
  host.add(pagesInUseCell, 0, { mfns: [] });
  startKernel(host, 0);
  const page = allocPage(host, 0);
  assert(!isFailure(page), "dom0 has no page for xenstore");
  const { mfn } = page;
  const made = allocUnbound(host, { domid: 0, process: "kernel" }, { domid: 0, remoteDomid: 0 });
  assert(!isFailure(made), "dom0 has no port for xenstore");
  startBalloon(host, 0, must(host, domainPagesCell, 0).totPages);
  const { policy = "single", modules = [netback.module, blkback.module] } = options;
  kthreadRun(host, 0, "xenbus_probe", xenbusProbeThread, { mfn, port: made.port, policy, modules });
  return { mfn, port: made.port };
}
