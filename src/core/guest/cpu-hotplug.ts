// SPDX-License-Identifier: Apache-2.0
//
// vCPUs that come and go with `cpu/N/availability` (Linux drivers/xen/cpu_hotplug.c).

import { routine } from "../engine/routine.ts";
import { registerXenbusWatch } from "../xenbus/watch.ts";
import type { WatchEvent } from "../xenbus/xenbus.ts";
import { xenbusReadOptional } from "../xenbus/xs.ts";
import { setVcpuOnline } from "./smp.ts";

/** Brings a vCPU up or down, as its availability node says. */
const vcpuHotplug = routine(
  "vcpu_hotplug",
  (a: { domid: number; cpu: number }) => ({ ...a, availability: null as string | null }),
  ({ call, step }) => [
    call(
      "vcpu_online",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: `cpu/${l.cpu}`, name: "availability" }),
      (l, value) => {
        l.availability = value;
      },
    ),
    step("enable or disable", (host, l) => {
      if (l.availability === "online") setVcpuOnline(host, l.domid, l.cpu, true);
      else if (l.availability === "offline") setVcpuOnline(host, l.domid, l.cpu, false);
    }),
  ],
);

/** The callback of the watch on `cpu`: only events below it name a vCPU. */
export const handleVcpuHotplugEvent = routine(
  "handle_vcpu_hotplug_event",
  (a: WatchEvent) => ({ domid: a.domid, cpu: Number(/cpu\/(\d+)/.exec(a.path)?.[1] ?? -1) }),
  ({ when, call }) => [
    when("names a vCPU", (l) => l.cpu >= 0, [call("vcpu_hotplug", vcpuHotplug, (l) => l)]),
  ],
);

/** Watches `cpu` and looks at every vCPU's availability once. */
export const setupCpuWatcher = routine(
  "setup_cpu_watcher",
  (a: { domid: number; nrVcpus: number }) => ({
    ...a,
    cpus: Array.from({ length: a.nrVcpus }, (_, cpu) => cpu),
    cpu: 0,
  }),
  ({ call, each }) => [
    call("register_xenbus_watch", registerXenbusWatch, (l) => ({
      domid: l.domid,
      node: "cpu",
      token: "cpu_watch",
      callback: handleVcpuHotplugEvent.name,
    })),
    each(
      "for_each_possible_cpu",
      (l) => l.cpus,
      (l, cpu) => {
        l.cpu = cpu;
      },
      [call("vcpu_online", vcpuHotplug, (l) => ({ domid: l.domid, cpu: l.cpu }))],
    ),
  ],
);
