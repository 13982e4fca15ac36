// SPDX-License-Identifier: Apache-2.0
//
// The buttons of a domain's emulated ACPI (xen/arch/x86/hvm/pmtimer.c): pressed
// by a toolstack, seen by the guest's ACPI driver.

import { cellType } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";

export type AcpiButton = "power" | "sleep";

/** A button that was pressed and not yet seen. Identifier: the domid. */
export const acpiButtonCell = cellType<{ pressed: AcpiButton }>("acpi-button");

/** The guest's ACPI driver takes notice: which button was pressed, or null. */
export function takeAcpiButton(host: Host, domid: number): AcpiButton | null {
  const pressed = host.get(acpiButtonCell, domid)?.pressed ?? null;
  if (pressed !== null) host.drop(acpiButtonCell, domid);
  return pressed;
}
