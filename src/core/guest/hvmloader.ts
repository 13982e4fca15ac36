// SPDX-License-Identifier: Apache-2.0
//
// The firmware of an HVM domain, as far as its device model notices: it looks
// which PCI functions there are and gives those that need it their registers
// (Xen tools/firmware/hvmloader/pci.c, pci_setup). No boot loader follows.

import { HVM_PARAM_ACPI_IOPORTS_LOCATION } from "../../abi/4.17/constants.ts";
import type { Cells } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import { hvmParam } from "../hypervisor/hvm-params.ts";
import { setParam } from "../hypervisor/hvm-op.ts";
import { ioreqServerSelect } from "../hypervisor/ioreq-send.ts";
import { ioreqServersOf } from "../hypervisor/ioreq.ts";
import { ioAccess, pciRead, pciWrite } from "./io.ts";

/** Functions of one bus. */
const DEVFNS = 256;

/** Vendor and device number as a function's first register has them. */
const PIIX4_PM = 0x71138086;
const XEN_PLATFORM = 0x00015853;

/** Where its event registers are to be, as its ACPI tables say (ACPI_PM1A_EVT_BLK_ADDRESS_V1). */
export const PM1A_EVENTS = 0xb000;

/** PCI configuration: the vendor and device, and of the power management function its ports and their switch. */
const PCI_ID = 0;
const PM_BASE = 0x40;
const PM_ENABLE = 0x80;

/** A PCI function, with its vendor and device. */
export interface PciFunction {
  devfn: number;
  id: number;
}

/** Whether somebody emulates devices for a domain. */
export function hasDeviceModel(cells: Cells, domid: number): boolean {
  return [...ioreqServersOf(cells, domid)].length > 0;
}

/** Whether a machine has the device that announces Xen to a guest's drivers (`xen_platform_pci`). */
export function hasXenPlatform(functions: readonly PciFunction[]): boolean {
  return functions.some(({ id }) => id === XEN_PLATFORM);
}

/** Whether a domain's firmware said where its power management is. */
export function hasAcpiPorts(cells: Cells, domid: number): boolean {
  return hvmParam(cells, domid, HVM_PARAM_ACPI_IOPORTS_LOCATION) === 1n;
}

/** Looks for PCI functions, which it gives, and sets up power management. */
export const hvmloader = routine(
  "hvmloader",
  (a: { domid: number }) => ({
    ...a,
    devfns: [] as number[],
    devfn: 0,
    id: 0,
    functions: [] as PciFunction[],
  }),
  ({ step, each, call, when }) => [
    step("pci_setup", (host, l) => {
      // Those that nobody emulates read as all ones, without anybody being asked.
      l.devfns = Array.from({ length: DEVFNS }, (_, devfn) => devfn).filter(
        (devfn) =>
          ioreqServerSelect(host, l.domid, { kind: "pci", address: devfn, size: 4, dir: "read" }) >= 0,
      );
    }),
    each(
      "functions",
      (l) => l.devfns,
      (l, devfn) => void (l.devfn = devfn),
      [
        call(
          "vendor and device",
          ioAccess,
          (l) => pciRead(l.domid, l.devfn, PCI_ID, 4),
          (l, id) => void (l.id = id),
        ),
        step("note it", (_host, l) => void l.functions.push({ devfn: l.devfn, id: l.id })),
        when("power management", (l) => l.id === PIIX4_PM, [
          call("its ports", ioAccess, (l) => pciWrite(l.domid, l.devfn, PM_BASE, 4, PM1A_EVENTS | 1)),
          call("switch it on", ioAccess, (l) => pciWrite(l.domid, l.devfn, PM_ENABLE, 1, 1)),
          step("acpi_build_tables", (host, { domid }) => {
            setParam(
              host,
              { domid, process: "hvmloader" },
              {
                domid,
                index: HVM_PARAM_ACPI_IOPORTS_LOCATION,
                value: 1n,
              },
            );
          }),
        ]),
      ],
    ),
  ],
  (l) => l.functions,
);
