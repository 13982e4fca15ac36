// SPDX-License-Identifier: Apache-2.0
//
// How a guest's kernel ends: it closes its devices, says its last words and
// makes the hypercall (Linux kernel/reboot.c, drivers/xen/xenbus).

import { routine } from "../engine/routine.ts";
import { ShutdownCode } from "../hypervisor/domain.ts";
import { schedopShutdown } from "../hypervisor/sched-op.ts";
import { deviceOf, devicesOn, sameDevice, xenbusDeviceCell } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { printk } from "../xenbus/printk.ts";
import { XenbusState } from "../xenbus/state.ts";
import { xenbusSwitchState } from "../xenbus/switch-state.ts";
import { xenbusCell } from "../xenbus/xenbus.ts";
import { acpiPowerOff, hasAcpi, keyboardReset } from "./acpi.ts";
import { guestPrintk } from "./console.ts";

/** How long the closing of one device may take, in µs (xenbus_dev_shutdown). */
const CLOSE_TIMEOUT_US = 5_000_000;

/** Closes one device and waits until its backend has answered, or long enough. */
const xenbusDevShutdown = routine(
  "xenbus_dev_shutdown",
  (a: DeviceArgs) => ({ ...a, connected: false, late: false }),
  ({ step, call, when, waitFor }) => [
    step("dev->state", (host, l) => {
      const { state, nodename } = deviceOf(host, l.device);
      l.connected = state === XenbusState.Connected;
      if (!l.connected)
        printk(host, l.domid, `xenbus_dev_shutdown: ${nodename}: ${state} != Connected, skipping`);
    }),
    when("connected", (l) => l.connected, [
      call("xenbus_switch_state", xenbusSwitchState, (l) => ({
        ...sameDevice(l),
        state: XenbusState.Closing,
      })),
      waitFor(
        "wait_for_completion_timeout",
        (host, l) => host.get(xenbusDeviceCell, l.device)?.down ?? true,
        {
          timeout: () => CLOSE_TIMEOUT_US,
          timedOut: (l) => {
            l.late = true;
          },
        },
      ),
      step("dev->down", (host, l) => {
        if (l.late) printk(host, l.domid, `xenbus_dev_shutdown: ${l.device} timeout closing device`);
      }),
    ]),
  ],
);

/** Closes all devices, the latest registered first. */
const deviceShutdown = routine(
  "device_shutdown",
  (a: { domid: number }) => ({ ...a, devices: [] as string[], device: "" }),
  ({ step, each, call }) => [
    step("devices_kset", (host, l) => {
      l.devices = devicesOn(host, l.domid, "frontend").toReversed();
    }),
    each(
      "devices",
      (l) => l.devices,
      (l, device) => {
        l.device = device;
      },
      [call("xenbus_dev_shutdown", xenbusDevShutdown, sameDevice)],
    ),
  ],
);

/** The routine that puts the next kernel in this one's place: see kexec.ts, which knows how a kernel begins. */
export const RELOCATE_KERNEL = "relocate_kernel";

const lastWords = {
  halt: "reboot: System halted",
  restart: "reboot: Restarting system",
  kexec: "kexec_core: Starting new kernel",
} as const;
const codes = {
  halt: ShutdownCode.poweroff,
  restart: ShutdownCode.reboot,
  kexec: ShutdownCode.soft_reset,
} as const;

/**
 * Halts, restarts or makes way for another kernel: kernel_halt, kernel_restart,
 * kernel_kexec. Only after the last of them does the guest go on, once the
 * toolstack has reset its domain (xen_hvm_shutdown).
 */
export const kernelDown = routine(
  "kernel_shutdown_prepare",
  (a: { domid: number; how: keyof typeof codes }) => ({ ...a, again: false, acpi: false }),
  ({ step, call, callNamed, when }) => [
    step("system_state", (host, l) => {
      const xenbus = host.edit(xenbusCell, l.domid);
      l.again = xenbus.systemState !== "running";
      xenbus.systemState = l.how === "halt" ? "halt" : "reboot";
    }),
    when("the first to do so", (l) => !l.again, [
      call("device_shutdown", deviceShutdown, (l) => ({ domid: l.domid })),
      when("has a PV console", (l) => l.domid !== 0, [
        call("pr_emerg", guestPrintk, (l) => ({ domid: l.domid, line: lastWords[l.how] })),
      ]),
      step("machine_halt", (host, l) => {
        // An HVM guest's machine is its device model's to switch off; for another kernel it stays on.
        l.acpi = l.how !== "kexec" && hasAcpi(host, l.domid);
        if (!l.acpi) schedopShutdown(host, { domid: l.domid, process: "kernel" }, { reason: codes[l.how] });
      }),
      when("pm_power_off", (l) => l.acpi && l.how === "halt", [
        call("acpi_power_off", acpiPowerOff, (l) => ({ domid: l.domid })),
      ]),
      when("machine_restart", (l) => l.acpi && l.how === "restart", [
        call("emergency_restart", keyboardReset, (l) => ({ domid: l.domid })),
      ]),
      when("for another kernel", (l) => l.how === "kexec", [
        callNamed(
          "relocate_kernel",
          () => RELOCATE_KERNEL,
          (l) => ({ domid: l.domid }),
        ),
      ]),
    ]),
  ],
);

/** Panics. Nothing is closed. */
export const guestCrash = routine(
  "panic",
  (a: { domid: number; why: string }) => ({ ...a }),
  ({ step, call }) => [
    call("pr_emerg", guestPrintk, (l) => ({ domid: l.domid, line: `Kernel panic - not syncing: ${l.why}` })),
    step("xen_panic_event", (host, l) => {
      schedopShutdown(host, { domid: l.domid, process: "kernel" }, { reason: ShutdownCode.crash });
    }),
  ],
);
