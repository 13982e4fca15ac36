// SPDX-License-Identifier: Apache-2.0
//
// A guest from its first instruction on: the kernel's boot, then the whole of
// its user space, which does what `mode=` says (recordings, guest/init).

import { blkfront } from "../drivers/blkfront.ts";
import { netfront } from "../drivers/netfront.ts";
import { routine } from "../engine/routine.ts";
import { sendPackets } from "../drivers/netfront-xmit.ts";
import { taskRun } from "../xenbus/kthread.ts";
import { xsInit } from "../xenbus/comms.ts";
import { xenbusRegisterFrontend } from "../xenbus/probe.ts";
import { xsResetWatches } from "../xenbus/watch.ts";
import { hasAcpi, startAcpid } from "./acpi.ts";
import { balloonWaitFinish } from "./balloon.ts";
import { guestPrint } from "./console.ts";
import { serveOthers } from "./driver-domain.ts";
import { setupCpuWatcher } from "./cpu-hotplug.ts";
import { bootTimesCell, defaultBootTimes, guestCell, guestOf, guestSeconds } from "./guest.ts";
import type { GuestMode } from "./options.ts";
import { xenbusProbe } from "./linux.ts";
import { guestCrash, kernelDown } from "./reboot.ts";
import { showDevices } from "./show-devices.ts";
import { startKernel } from "./early.ts";
import { bringUpVcpus } from "./smp.ts";

interface ModeLocals {
  domid: number;
  mode: GuestMode;
  /** µs until the mode does what it is for. */
  delay: number;
  ticks: number;
}

/** Modes that end the guest, with what each makes of it. */
const ends = { poweroff: "halt", halt: "halt", reboot: "restart", kexec: "kexec" } as const;

/** Prints a line and ends the guest: what `poweroff -f`, `halt -f`, `reboot -f` and `kexec -e` do. */
const endBy = routine(
  "busybox",
  (a: { domid: number; mode: keyof typeof ends; delay: number }) => ({ ...a }),
  ({ call, sleep }) => [
    sleep("sleep $DELAY", (l) => l.delay),
    call("echo", guestPrint, (l) => ({
      domid: l.domid,
      line: `GUEST: ${l.mode} ${l.mode === "kexec" ? "-e" : "-f"}`,
    })),
    call("sys_reboot", kernelDown, (l) => ({ domid: l.domid, how: ends[l.mode] })),
  ],
);

const crashIt = routine(
  "sysrq_trigger",
  (a: { domid: number; delay: number }) => ({ ...a }),
  ({ call, sleep }) => [
    sleep("sleep $DELAY", (l) => l.delay),
    call("echo", guestPrint, (l) => ({ domid: l.domid, line: "GUEST: crash" })),
    call("sysrq_handle_crash", guestCrash, (l) => ({ domid: l.domid, why: "sysrq triggered crash" })),
  ],
);

const tick = routine(
  "tick",
  (a: { domid: number; ticks: number }) => ({ ...a }),
  ({ forever, call, step, sleep }) => [
    forever("while :", [
      call("echo", guestPrint, (l) => ({ domid: l.domid, line: `GUEST: tick ${l.ticks}` })),
      step("i=$((i+1))", (host, l) => {
        host.edit(guestCell, l.domid).ticks = ++l.ticks;
      }),
      sleep("sleep 1", () => 1_000_000),
    ]),
  ],
);

const spin = routine(
  "spin",
  (a: { domid: number }) => ({ ...a }),
  ({ call, step, waitFor }) => [
    call("echo", guestPrint, (l) => ({ domid: l.domid, line: "GUEST: spin" })),
    step("while :; do :; done", (host, l) => {
      host.edit(guestCell, l.domid).spinning = true;
    }),
    waitFor("for ever", () => false),
  ],
);

const ping = routine(
  "ping",
  (a: { domid: number }) => ({ ...a }),
  ({ forever, step, sleep }) => [
    forever("while :", [
      step("sendto", (host, l) => sendPackets(host, l.domid)),
      sleep("one second", () => 1_000_000),
    ]),
  ],
);

function isEnd(mode: GuestMode): mode is keyof typeof ends {
  return Object.hasOwn(ends, mode);
}

/** User space from "up" on, or from where a restored guest stands. */
export const userSpace = routine(
  "init",
  (a: { domid: number }): ModeLocals => ({ ...a, mode: "idle", delay: 0, ticks: 0 }),
  ({ step, call, when, waitFor }) => [
    step("case $MODE", (host, l) => {
      const guest = guestOf(host, l.domid);
      l.mode = guest.options.mode;
      l.ticks = guest.ticks;
      const sinceUp = host.now - guest.bootedAt - (guest.upAt ?? 0);
      l.delay = Math.max(0, guest.options.delay * 1_000_000 - sinceUp);
      if (hasAcpi(host, l.domid)) startAcpid(host, l.domid, kernelDown.name);
      if (guest.options.ping) taskRun(host, l.domid, "ping", ping, { domid: l.domid });
    }),
    when("ends", (l) => isEnd(l.mode), [
      call("ends it", endBy, (l) => ({ domid: l.domid, mode: l.mode as "poweroff", delay: l.delay })),
    ]),
    when("crash", (l) => l.mode === "crash", [
      call("crashes", crashIt, (l) => ({ domid: l.domid, delay: l.delay })),
    ]),
    when("tick", (l) => l.mode === "tick", [
      call("ticks", tick, (l) => ({ domid: l.domid, ticks: l.ticks })),
    ]),
    when("spin", (l) => l.mode === "spin", [call("spins", spin, (l) => ({ domid: l.domid }))]),
    waitFor("sleep 3600", () => false),
  ],
);

const loadModules = routine(
  "insmod",
  (a: { domid: number }) => ({ ...a }),
  ({ call }) => [
    call("xen-blkfront.ko", xenbusRegisterFrontend, (l) => ({ domid: l.domid, module: blkfront.module })),
    call("xen-netfront.ko", xenbusRegisterFrontend, (l) => ({ domid: l.domid, module: netfront.module })),
  ],
);

/** The guest's first thread: the kernel boots and becomes init. */
export const kernelInit = routine(
  "kernel_init",
  (a: { domid: number }) => ({
    ...a,
    nrVcpus: 1,
    dev: false,
    backend: false,
    control: true,
    hvm: false,
    times: defaultBootTimes,
    line: "",
  }),
  ({ step, sleep, call, when }) => [
    step("start_kernel", (host, l) => {
      startKernel(host, l.domid);
      const guest = host.edit(guestCell, l.domid);
      guest.bootedAt = host.now;
      const { nrVcpus, options } = guest;
      l.times = { ...(host.get(bootTimesCell, 0) ?? defaultBootTimes) };
      l.nrVcpus = nrVcpus;
      l.hvm = guest.type !== "pv";
      l.dev = options.dev;
      l.backend = options.backend;
      l.control = options.mode !== "ignore";
    }),
    sleep("do_pre_smp_initcalls", (l) => l.times.kernelUs),
    step("smp_init", (host, l) => bringUpVcpus(host, l.domid)),
    step("xenbus_init", (host, l) => {
      const { storeMfn, storePort } = guestOf(host, l.domid);
      xsInit(host, l.domid, storeMfn, storePort);
    }),
    when("HVM", (l) => l.hvm, [call("xs_reset_watches", xsResetWatches, (l) => ({ domid: l.domid }))]),
    call("xenbus_probe", xenbusProbe, (l) => ({ domid: l.domid, control: l.control })),
    sleep("late_initcall", (l) => l.times.lateInitUs),
    call("setup_vcpu_hotplug_event", setupCpuWatcher, (l) => ({ domid: l.domid, nrVcpus: l.nrVcpus })),
    when("HVM or PVH", (l) => l.hvm, [
      call("balloon_wait_finish", balloonWaitFinish, (l) => ({ domid: l.domid })),
    ]),
    when("dev=1", (l) => l.dev, [call("insmod", loadModules, (l) => ({ domid: l.domid }))]),
    when("backend=1", (l) => l.backend, [
      call("init.d/xendriverdomain", serveOthers, (l) => ({ domid: l.domid })),
    ]),
    step("up", (host, l) => {
      const guest = host.edit(guestCell, l.domid);
      guest.upAt = host.now - guest.bootedAt;
      const uptime = guestSeconds(host.now, guest).toFixed(2);
      l.line = `GUEST: up mode=${guest.options.mode} delay=${guest.options.delay} uptime=${uptime}`;
    }),
    call("echo", guestPrint, (l) => ({ domid: l.domid, line: l.line })),
    when("shows its devices", (l) => l.dev, [call("devices", showDevices, (l) => ({ domid: l.domid }))]),
    call("init", userSpace, (l) => ({ domid: l.domid })),
  ],
);
