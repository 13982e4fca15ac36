// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/xenbus: xenstore through a domain's kernel. What is written is a message or a
// part of one; what is read are replies and events.

import { fail, isFailure } from "../../core/engine/errno.ts";
import { mailboxCell } from "../../core/engine/mailbox.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { prepare } from "../../core/hypervisor/hypercall/operation.ts";
import { fileMailbox } from "../../core/xenbus/dev-file.ts";
import * as op from "../../core/xenbus/dev-frontend.ts";
import { callerOf } from "./device.ts";
import type { Answer, Device, OpenDevice, Send, Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";

/** A message's bytes at most: more at once is refused whatever it is. */
const MESSAGE_BYTES = 4096;

/** An open file. */
class XenbusDevice implements Device {
  readonly takesWrites = true;
  readonly #file: string;
  readonly #hypercalls: Hypercalls;
  readonly #opener: Caller;
  readonly #send: Send;
  readonly #closed: () => void;

  constructor(file: string, hypercalls: Hypercalls, opener: Caller, send: Send, closed: () => void) {
    this.#file = file;
    this.#hypercalls = hypercalls;
    this.#opener = opener;
    this.#send = send;
    this.#closed = closed;
  }

  ioctl(_session: Session, _number: number, _argument: number, _inline: Buffer, answer: Answer): void {
    answer(fail("ENOTTY"));
  }

  mmap(_session: Session, _asked: unknown, answer: Answer): void {
    answer(fail("ENODEV"));
  }

  write(session: Session, address: number, length: number, answer: Answer): void {
    // What is too long is not looked at.
    const bytes = length > MESSAGE_BYTES ? new Uint8Array(length) : session.process.read(address, length);
    if (isFailure(bytes)) return answer(bytes);
    this.#write(bytes, callerOf(session.process), answer);
  }

  /** Without the library's help nobody hears what became of it. */
  written(bytes: Buffer): void {
    this.#write(new Uint8Array(bytes), this.#opener, () => {});
  }

  #write(bytes: Uint8Array, caller: Caller, answer: Answer): void {
    const { length } = bytes;
    const asked = {
      file: this.#file,
      bytes: length > MESSAGE_BYTES ? bytes.subarray(0, MESSAGE_BYTES + 1) : bytes,
    };
    this.#hypercalls.perform(prepare(op.xenbusFileWrite, asked), caller, (result) =>
      answer(isFailure(result) ? result : length),
    );
  }

  /** Hands out what there is to read. */
  flush(): void {
    // A domain's end takes the mailbox with it.
    const messages = this.#hypercalls.driver.world.get(mailboxCell, fileMailbox(this.#file))?.messages ?? [];
    if (messages.length === 0) return;
    const bytes = Buffer.from((messages as readonly string[]).join(""), "latin1");
    const args = { file: this.#file, count: messages.length };
    if (!isFailure(this.#hypercalls.now(op.xenbusFileRead, args, this.#opener))) this.#send(bytes);
  }

  close(): void {
    this.#closed();
    this.#hypercalls.now(op.closeXenbusFile, { file: this.#file }, this.#opener);
  }
}

/** Makes the device's opener: open files are handed what there is after every turn. */
export function xenbusDevices(hypercalls: Hypercalls): OpenDevice {
  const open = new Set<XenbusDevice>();
  hypercalls.driver.afterTurn(() => {
    for (const device of open) device.flush();
  });
  return (process, send) => {
    const opener = callerOf(process);
    const opened = hypercalls.now(op.openXenbusFile, null, opener);
    if (isFailure(opened)) return opened;
    const { file } = opened;
    const device: XenbusDevice = new XenbusDevice(file, hypercalls, opener, send, () => open.delete(device));
    open.add(device);
    return device;
  };
}
