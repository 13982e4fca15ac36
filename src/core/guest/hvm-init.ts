// SPDX-License-Identifier: Apache-2.0
//
// An HVM guest with a device model, from its firmware on. Which kernel its disk
// has is not known: where the machine has the device that announces Xen
// (`xen_platform_pci`, which libxl gives it where nothing else is said) it is a
// Linux with Xen's drivers, else a system that knows only of ACPI.

import { routine } from "../engine/routine.ts";
import { acpiPowerOff, hasAcpi, startAcpid } from "./acpi.ts";
import { guestPrintk } from "./console.ts";
import { guestCell } from "./guest.ts";
import { hasXenPlatform, hvmloader } from "./hvmloader.ts";
import type { PciFunction } from "./hvmloader.ts";
import { kernelInit } from "./init.ts";
import { startProcessors } from "./smp.ts";

/** A function as a kernel prints it: `pci 0000:00:01.3: [8086:7113]`. */
function pciLine({ devfn, id }: PciFunction): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  const [vendor, device] = [id & 0xffff, id >>> 16];
  return `pci 0000:00:${hex(devfn >> 3, 2)}.${devfn & 7}: [${hex(vendor, 4)}:${hex(device, 4)}]`;
}

/** A system without Xen's drivers: it only runs, and can be switched off. */
const plainSystem = routine(
  "plain_system",
  (a: { domid: number }) => ({ ...a }),
  ({ step, waitFor }) => [
    step("up", (host, l) => {
      startProcessors(host, l.domid);
      const guest = host.edit(guestCell, l.domid);
      guest.bootedAt = host.now;
      guest.upAt = 0;
      if (hasAcpi(host, l.domid)) startAcpid(host, l.domid, acpiPowerOff.name);
    }),
    waitFor("for ever", () => false),
  ],
);

/** The firmware, and whichever system follows it. */
export const hvmInit = routine(
  "hvm_init",
  (a: { domid: number }) => ({ ...a, functions: [] as PciFunction[], line: "", xen: true }),
  ({ call, when, each, step }) => [
    call(
      "hvmloader",
      hvmloader,
      (l) => ({ domid: l.domid }),
      (l, functions) => {
        l.functions = functions;
        l.xen = hasXenPlatform(functions);
      },
    ),
    when("a system without Xen's drivers", (l) => !l.xen, [
      call("system", plainSystem, (l) => ({ domid: l.domid })),
    ]),
    each(
      "pci_scan_root_bus",
      (l) => l.functions.map(pciLine),
      (l, line) => void (l.line = line),
      [call("pci_info", guestPrintk, (l) => ({ domid: l.domid, line: l.line }))],
    ),
    step("its drivers are modules", (host, l) => {
      // Nobody says otherwise: there is no command line.
      host.edit(guestCell, l.domid).options.dev = true;
    }),
    call("kernel", kernelInit, (l) => ({ domid: l.domid })),
  ],
);
