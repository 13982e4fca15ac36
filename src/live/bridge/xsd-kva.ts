// SPDX-License-Identifier: Apache-2.0
//
// /proc/xen/xsd_kva: the page that dom0's kernel shares with xenstored, for a
// xenstored that is a process of its own (Linux, drivers/xen/xenfs/xenstored.c).

import { fail } from "../../core/engine/errno.ts";
import type { FileMemory } from "../guest-memory.ts";
import { mapFrames, PROT_WRITE } from "./device.ts";
import type { Device, OpenDevice } from "./device.ts";

const PAGE_BYTES = 4096;

/** Makes the device's opener. The page is dom0's own: whoever maps it holds nothing of another domain's. */
export function xsdKvaDevices(memory: FileMemory, mfn: number): OpenDevice {
  const device: Device = {
    ioctl: (_session, _number, _argument, _inline, answer) => answer(fail("ENOTTY")),
    mmap: (session, { address, length, offset, prot }, answer) => {
      if (length > PAGE_BYTES || offset !== 0) return answer(fail("EINVAL"));
      const writable = (prot & PROT_WRITE) !== 0;
      const mapping = mapFrames(memory, session, address, [mfn, 1], writable, () => {});
      if (mapping === null) answer(fail("ENOMEM"));
      else answer(0, mapping);
    },
    close: () => {},
  };
  return () => device;
}
