// SPDX-License-Identifier: Apache-2.0
//
// What a Linux kernel sets up once xenstore can be reached: the notifiers that
// wait for it, in the order in which they were registered (Linux xenbus_probe,
// blocking_notifier_call_chain). dom0's kernel and the guests' do the same.

import { routine } from "../engine/routine.ts";
import { probeAndWatch } from "../xenbus/probe.ts";
import { balloonInitWatcher } from "./balloon.ts";
import { setupShutdownWatcher } from "./control.ts";

/** Runs the notifiers. A kernel that ignores control requests has none for them. */
export const xenbusProbe = routine(
  "xenbus_probe",
  (a: { domid: number; control: boolean }) => ({ ...a }),
  ({ call, when }) => [
    call("balloon_init_watcher", balloonInitWatcher, (l) => ({ domid: l.domid })),
    when("control requests", (l) => l.control, [
      call("setup_shutdown_watcher", setupShutdownWatcher, (l) => ({ domid: l.domid })),
    ]),
    call("backend_probe_and_watch", probeAndWatch, (l) => ({ domid: l.domid, bus: "backend" as const })),
    call("frontend_probe_and_watch", probeAndWatch, (l) => ({ domid: l.domid, bus: "frontend" as const })),
  ],
);
