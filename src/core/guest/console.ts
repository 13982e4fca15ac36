// SPDX-License-Identifier: Apache-2.0
//
// The guest's end of the PV console: hvc0 writes lines into the ring for as long
// as there is room, and spins until there is (Linux drivers/tty/hvc/hvc_xen.c;
// xen/include/public/io/console.h, struct xencons_interface).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { guestPages } from "../hypervisor/guest-access.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { readU32, writeLatin1, writeU32 } from "../xenstore/wire.ts";
import { guestOf, guestSeconds } from "./guest.ts";

const OUT = 1024;
const OUT_BYTES = 2048;
const OUT_CONS = 3080;
const OUT_PROD = 3084;

/** Writes what fits into the ring; returns how many characters did. */
function writeConsole(host: Host, domid: number, text: string): number {
  const { consoleMfn, consolePort } = guestOf(host, domid);
  const memory = guestPages(host, domid);
  const cons = readU32(memory.read(consoleMfn, OUT_CONS, 4), 0);
  const prod = readU32(memory.read(consoleMfn, OUT_PROD, 4), 0);
  const count = Math.min(text.length, OUT_BYTES - ((prod - cons) >>> 0));
  if (count <= 0) return 0;
  const bytes = new Uint8Array(count);
  writeLatin1(bytes, 0, text.slice(0, count));
  const at = prod % OUT_BYTES;
  const first = Math.min(count, OUT_BYTES - at);
  memory.write(consoleMfn, OUT + at, bytes.subarray(0, first));
  if (count > first) memory.write(consoleMfn, OUT, bytes.subarray(first));
  const index = new Uint8Array(4);
  writeU32(index, 0, (prod + count) >>> 0);
  memory.write(consoleMfn, OUT_PROD, index);
  evtchnSend(host, domid, consolePort);
  return count;
}

/** Prints text on hvc0. The writer is stuck while nobody takes what is in the ring. */
export const hvcWrite = routine(
  "domU_write_console",
  (a: { domid: number; text: string }) => ({ ...a, port: 0 }),
  ({ step, when, repeatUntil, waitFor }) => [
    step("__write_console", (host, l) => {
      l.port = guestOf(host, l.domid).consolePort;
      l.text = l.text.slice(writeConsole(host, l.domid, l.text));
    }),
    when("ring full", (l) => l.text !== "", [
      repeatUntil("len == 0", (l) => l.text === "", [
        waitFor("SCHEDOP_yield", (host, l) => eventPending(host, l.domid, l.port)),
        step("__write_console again", (host, l) => {
          consumeEvent(host, l.domid, l.port);
          l.text = l.text.slice(writeConsole(host, l.domid, l.text));
        }),
      ]),
    ]),
  ],
);

/** Prints a line of user space. */
export const guestPrint = routine(
  "write",
  (a: { domid: number; line: string }) => ({ ...a }),
  ({ call }) => [call("hvc_write", hvcWrite, (l) => ({ domid: l.domid, text: `${l.line}\r\n` }))],
);

/** Prints a line of the kernel with its time stamp, as one of high severity. */
export const guestPrintk = routine(
  "printk",
  (a: { domid: number; line: string }) => ({ ...a, stamp: "" }),
  ({ step, call }) => [
    step("time stamp", (host, l) => {
      l.stamp = guestSeconds(host.now, guestOf(host, l.domid)).toFixed(6).padStart(12);
    }),
    call("hvc_write", hvcWrite, (l) => ({ domid: l.domid, text: `[${l.stamp}] ${l.line}\r\n` })),
  ],
);
