// SPDX-License-Identifier: Apache-2.0
//
// event_channel_op: the binary form of EVTCHNOP_*.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, viewOf } from "../../../abi/struct.ts";
import { isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../event-channel-op.ts";
import { operation, prepare, query, restartable, unknownCommand } from "./operation.ts";
import type { Arrived, Family, Prepared } from "./operation.ts";

const allocUnbound = operation("evtchn_op alloc_unbound", op.allocUnbound);
const bindInterdomain = operation("evtchn_op bind_interdomain", op.bindInterdomain);
const bindVirq = operation("evtchn_op bind_virq", op.bindVirq);
const bindIpi = operation("evtchn_op bind_ipi", op.bindIpi);
const close = operation("evtchn_op close", op.close);
const send = operation("evtchn_op send", op.send);
const status = query("evtchn_op status", op.status);
const bindVcpu = operation("evtchn_op bind_vcpu", op.bindVcpu);
const unmask = operation("evtchn_op unmask", op.unmask);
const reset = restartable("evtchn_op reset", op.reset);

/** The argument's structure, and how it goes back. */
interface Argument {
  readonly view: DataView;
  readonly copyBack: () => number | Failure;
}

type Decoder = (a: Argument) => Prepared;

const statuses: { readonly [status in op.PortStatus["status"]]: number } = {
  closed: X.EVTCHNSTAT_closed,
  unbound: X.EVTCHNSTAT_unbound,
  interdomain: X.EVTCHNSTAT_interdomain,
  pirq: X.EVTCHNSTAT_pirq,
  virq: X.EVTCHNSTAT_virq,
  ipi: X.EVTCHNSTAT_ipi,
};

function putStatus(view: DataView, found: op.PortStatus): void {
  const s = abi.evtchn_status;
  s.status.set(view, statuses[found.status]);
  s.vcpu.set(view, found.vcpu);
  if (found.status === "unbound") s["u.unbound.dom"].set(view, found.domid);
  if (found.status === "interdomain") {
    s["u.interdomain.dom"].set(view, found.domid);
    s["u.interdomain.port"].set(view, found.remotePort);
  }
  if (found.status === "virq") s["u.virq"].set(view, found.virq);
  if (found.status === "pirq") s["u.pirq"].set(view, found.pirq);
}

const commands: { readonly [command: number]: { readonly sizeof: number; readonly decode: Decoder } } = {
  [X.EVTCHNOP_alloc_unbound]: {
    sizeof: abi.evtchn_alloc_unbound.sizeof,
    decode: ({ view, copyBack }) => {
      const s = abi.evtchn_alloc_unbound;
      return prepare(
        allocUnbound,
        { domid: s.dom.get(view), remoteDomid: s.remote_dom.get(view) },
        ({ port }) => {
          s.port.set(view, port);
          return copyBack();
        },
      );
    },
  },
  [X.EVTCHNOP_bind_interdomain]: {
    sizeof: abi.evtchn_bind_interdomain.sizeof,
    decode: ({ view, copyBack }) => {
      const s = abi.evtchn_bind_interdomain;
      const args = { remoteDomid: s.remote_dom.get(view), remotePort: s.remote_port.get(view) };
      return prepare(bindInterdomain, args, ({ port }) => {
        s.local_port.set(view, port);
        return copyBack();
      });
    },
  },
  [X.EVTCHNOP_bind_virq]: {
    sizeof: abi.evtchn_bind_virq.sizeof,
    decode: ({ view, copyBack }) => {
      const s = abi.evtchn_bind_virq;
      return prepare(bindVirq, { virq: s.virq.get(view), vcpu: s.vcpu.get(view) }, ({ port }) => {
        s.port.set(view, port);
        return copyBack();
      });
    },
  },
  [X.EVTCHNOP_bind_ipi]: {
    sizeof: abi.evtchn_bind_ipi.sizeof,
    decode: ({ view, copyBack }) => {
      const s = abi.evtchn_bind_ipi;
      return prepare(bindIpi, { vcpu: s.vcpu.get(view) }, ({ port }) => {
        s.port.set(view, port);
        return copyBack();
      });
    },
  },
  [X.EVTCHNOP_close]: {
    sizeof: abi.evtchn_close.sizeof,
    decode: ({ view }) => prepare(close, { port: abi.evtchn_close.port.get(view) }),
  },
  [X.EVTCHNOP_send]: {
    sizeof: abi.evtchn_send.sizeof,
    decode: ({ view }) => prepare(send, { port: abi.evtchn_send.port.get(view) }),
  },
  [X.EVTCHNOP_status]: {
    sizeof: abi.evtchn_status.sizeof,
    decode: ({ view, copyBack }) => {
      const s = abi.evtchn_status;
      return prepare(status, { domid: s.dom.get(view), port: s.port.get(view) }, (found) => {
        putStatus(view, found);
        return copyBack();
      });
    },
  },
  [X.EVTCHNOP_bind_vcpu]: {
    sizeof: abi.evtchn_bind_vcpu.sizeof,
    decode: ({ view }) => {
      const s = abi.evtchn_bind_vcpu;
      return prepare(bindVcpu, { port: s.port.get(view), vcpu: s.vcpu.get(view) });
    },
  },
  [X.EVTCHNOP_unmask]: {
    sizeof: abi.evtchn_unmask.sizeof,
    decode: ({ view }) => prepare(unmask, { port: abi.evtchn_unmask.port.get(view) }),
  },
  [X.EVTCHNOP_reset]: {
    sizeof: abi.evtchn_reset.sizeof,
    decode: ({ view }) => prepare(reset, { domid: abi.evtchn_reset.dom.get(view) }),
  },
};

/** `event_channel_op(cmd, arg)` */
export const eventChannelOp: Family = ({ memory, args }: Arrived) => {
  const [command = 0, address = 0] = args;
  const found = commands[command];
  if (found === undefined) return unknownCommand("event_channel_op", "EVTCHNOP_", command);
  const bytes = memory.read(address, found.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  return found.decode({ view, copyBack: () => memory.write(address, bytesOf(view)) });
};
