// SPDX-License-Identifier: Apache-2.0
//
// What an HVM guest's kernel and firmware do with ports and PCI registers: the
// hypervisor sends it to the device model, and the vCPU gets no further before
// the answer is there.

import { routine } from "../engine/routine.ts";
import { ioreqAnswer, ioreqSend, ioreqServerSelect, isBlockedInXen } from "../hypervisor/ioreq-send.ts";
import type { IoAccess } from "../hypervisor/ioreq-send.ts";

/** All of a kernel's work is done on its first vCPU. */
const VCPU = 0;

interface AccessLocals extends IoAccess {
  domid: number;
  server: number;
  answer: number;
  done: boolean;
}

/**
 * An access to an emulated device; gives what was read. What nobody emulates
 * reads as all ones and takes no writes. Never ends where the model does not answer.
 */
export const ioAccess = routine(
  "hvm_io_intercept",
  (a: IoAccess & { domid: number }): AccessLocals => ({ ...a, server: -1, answer: -1, done: false }),
  ({ step, when, repeatUntil, waitFor }) => [
    step("hvm_send_ioreq", (host, l) => {
      l.server = ioreqServerSelect(host, l.domid, l);
      if (l.server >= 0 && !ioreqSend(host, l.domid, VCPU, l.server, l)) l.server = -1;
    }),
    when("sent", (l) => l.server >= 0, [
      repeatUntil("wait_for_io", (l) => l.done, [
        waitFor("wait_on_xen_event_channel", (host, l) => !isBlockedInXen(host, l.domid, VCPU)),
        step("STATE_IORESP_READY", (host, l) => {
          const answer = ioreqAnswer(host, l.domid, VCPU, l.server, l.size);
          if (answer === null) return;
          l.done = true;
          l.answer = answer.data;
        }),
      ]),
    ]),
  ],
  (l) => (l.server < 0 ? 2 ** (8 * l.size) - 1 : l.answer),
);

/** A read of a PCI function's register: of the first bus, by device and function. */
export function pciRead(
  domid: number,
  devfn: number,
  register: number,
  size: 1 | 2 | 4,
): IoAccess & {
  domid: number;
} {
  return { domid, kind: "pci", address: devfn, register, size, dir: "read", data: 0 };
}

/** A write to one. */
export function pciWrite(
  domid: number,
  devfn: number,
  register: number,
  size: 1 | 2 | 4,
  data: number,
): IoAccess & { domid: number } {
  return { domid, kind: "pci", address: devfn, register, size, dir: "write", data };
}

/** A write to a port. */
export function portWrite(
  domid: number,
  port: number,
  size: 1 | 2 | 4,
  data: number,
): IoAccess & { domid: number } {
  return { domid, kind: "port", address: port, register: 0, size, dir: "write", data };
}
