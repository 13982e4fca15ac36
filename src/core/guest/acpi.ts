// SPDX-License-Identifier: Apache-2.0
//
// An HVM guest's ACPI: user space ends the system when its power button is
// pressed, and the machine is switched off, or reset, through its device model
// (Linux drivers/acpi/sleep.c, arch/x86/kernel/reboot.c).

import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { acpiButtonCell, takeAcpiButton } from "../hypervisor/acpi-button.ts";
import { kthreadRun } from "../xenbus/kthread.ts";
import { hasAcpiPorts, hasDeviceModel, PM1A_EVENTS } from "./hvmloader.ts";
import { ioAccess, portWrite } from "./io.ts";

/** The control register behind the event registers, and what switches off: S5 is sleep type 0 in Xen's tables. */
const PM1A_CONTROL = PM1A_EVENTS + 4;
const SLEEP_ENABLE = 1 << 13;

/** The keyboard controller's command port, and the command that pulls the processor's reset line. */
const KEYBOARD_COMMAND = 0x64;
const PULSE_RESET = 0xfe;

/** Whether the guest can be ended by its device model. */
export function hasAcpi(cells: Cells, domid: number): boolean {
  return hasDeviceModel(cells, domid) && hasAcpiPorts(cells, domid);
}

/** acpi_power_off: the device model shuts the domain down. */
export const acpiPowerOff = routine(
  "acpi_power_off",
  (a: { domid: number }) => ({ ...a }),
  ({ call }) => [call("PM1a_CNT", ioAccess, (l) => portWrite(l.domid, PM1A_CONTROL, 2, SLEEP_ENABLE))],
);

/** native_machine_emergency_restart: the device model resets its machine, and the domain with it. */
export const keyboardReset = routine(
  "native_machine_emergency_restart",
  (a: { domid: number }) => ({ ...a }),
  ({ call }) => [call("kbd_reset", ioAccess, (l) => portWrite(l.domid, KEYBOARD_COMMAND, 1, PULSE_RESET))],
);

/** Waits for the power button; `press` ends the system. Sleep is for systems that a user sits in front of. */
const acpid = routine(
  "acpid",
  (a: { domid: number; press: string }) => ({ ...a, power: false }),
  ({ forever, waitFor, step, when, callNamed }) => [
    forever("while (1)", [
      waitFor("acpi_button_notify", (host, l) => host.get(acpiButtonCell, l.domid) !== undefined),
      step("button", (host, l) => {
        l.power = takeAcpiButton(host, l.domid) === "power";
      }),
      when("power", (l) => l.power, [
        callNamed(
          "poweroff",
          (l) => l.press,
          (l) => ({ domid: l.domid, how: "halt" }),
        ),
      ]),
    ]),
  ],
);

/** Runs the daemon that heeds the power button; `press` is the routine that powers off. */
export function startAcpid(host: Host, domid: number, press: string): void {
  kthreadRun(host, domid, "acpid", acpid, { domid, press });
}
