// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/evtchn: reads give ports with events, writes give them back.

import * as X from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { viewOf } from "../../abi/struct.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import { mailboxCell } from "../../core/engine/mailbox.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import * as op from "../../core/hypervisor/hypercall/evtchn-device.ts";
import type { TypedOperation } from "../../core/hypervisor/hypercall/operation.ts";
import { callerOf } from "./device.ts";
import type { Answer, Device, MmapArguments, OpenDevice, Send, Session } from "./device.ts";
import type { Hypercalls } from "./hypercalls.ts";

/** An open event channel device. */
class EvtchnDevice implements Device {
  readonly user: number;
  readonly #hypercalls: Hypercalls;
  readonly #opener: Caller;
  readonly #send: Send;
  readonly #closed: () => void;
  /** Bytes of a port number not yet whole. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(user: number, hypercalls: Hypercalls, opener: Caller, send: Send, closed: () => void) {
    this.user = user;
    this.#hypercalls = hypercalls;
    this.#opener = opener;
    this.#send = send;
    this.#closed = closed;
    hypercalls.now(op.openEvtchn, { user }, opener);
  }

  ioctl(session: Session, number: number, _argument: number, inline: Buffer, answer: Answer): void {
    const { user } = this;
    const view = viewOf(inline);
    const run = <A>(operation: TypedOperation<A, number>, args: A): void => {
      answer(this.#hypercalls.now(operation, args, callerOf(session.process)));
      this.flush();
    };
    switch (number) {
      case X.IOCTL_EVTCHN_BIND_VIRQ:
        return run(op.bindUserVirq, { user, virq: abi.ioctl_evtchn_bind_virq.virq.get(view) });
      case X.IOCTL_EVTCHN_BIND_INTERDOMAIN: {
        const s = abi.ioctl_evtchn_bind_interdomain;
        const args = { user, remoteDomid: s.remote_domain.get(view), remotePort: s.remote_port.get(view) };
        return run(op.bindUserInterdomain, args);
      }
      case X.IOCTL_EVTCHN_BIND_UNBOUND_PORT: {
        const remoteDomid = abi.ioctl_evtchn_bind_unbound_port.remote_domain.get(view);
        return run(op.bindUserUnbound, { user, remoteDomid });
      }
      case X.IOCTL_EVTCHN_UNBIND:
        return run(op.unbindUser, { user, port: abi.ioctl_evtchn_unbind.port.get(view) });
      case X.IOCTL_EVTCHN_NOTIFY:
        return run(op.notifyUser, { user, port: abi.ioctl_evtchn_notify.port.get(view) });
      case X.IOCTL_EVTCHN_RESTRICT_DOMID:
        return run(op.restrictUser, { user, domid: abi.ioctl_evtchn_restrict_domid.domid.get(view) });
      case X.IOCTL_EVTCHN_RESET:
        // Empties a ring that overflowed; the stream to a user does not.
        return answer(0);
      default:
        return answer(fail("ENOSYS"));
    }
  }

  mmap(_session: Session, _asked: MmapArguments, answer: Answer): void {
    answer(fail("ENODEV"));
  }

  written(bytes: Buffer): void {
    const data = Buffer.concat([this.#rest, bytes]);
    const whole = data.length - (data.length % 4);
    this.#rest = data.subarray(whole);
    const ports = Array.from({ length: whole / 4 }, (_, i) => data.readUInt32LE(i * 4));
    if (ports.length === 0) return;
    this.#hypercalls.now(op.unmaskUser, { user: this.user, ports }, this.#opener);
    this.flush();
  }

  /** Tells the user of the events that came. */
  flush(): void {
    // A domain's end takes the mailbox with it.
    const messages =
      this.#hypercalls.driver.world.get(mailboxCell, op.evtchnMailbox(this.user))?.messages ?? [];
    if (messages.length === 0) return;
    const told = Buffer.alloc(messages.length * 4);
    for (const [i, port] of messages.entries()) told.writeUInt32LE(port as number, i * 4);
    const result = this.#hypercalls.now(
      op.eventsTold,
      { user: this.user, count: messages.length },
      this.#opener,
    );
    if (!isFailure(result)) this.#send(told);
  }

  close(): void {
    this.#closed();
    this.#hypercalls.now(op.closeEvtchn, { user: this.user }, this.#opener);
  }
}

/** Makes the device's opener: open devices are told of events after every turn. */
export function evtchnDevices(hypercalls: Hypercalls): OpenDevice {
  const open = new Set<EvtchnDevice>();
  let users = 0;
  hypercalls.driver.afterTurn(() => {
    for (const device of open) device.flush();
  });
  return (process, send) => {
    const device: EvtchnDevice = new EvtchnDevice(++users, hypercalls, callerOf(process), send, () => {
      open.delete(device);
    });
    open.add(device);
    return device;
  };
}
