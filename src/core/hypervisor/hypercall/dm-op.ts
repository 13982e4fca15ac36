// SPDX-License-Identifier: Apache-2.0
//
// dm_op: what device models ask for (xen/arch/x86/hvm/dm.c). The operation's
// structure is in the first of the caller's buffers, arrays in those behind it.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { getBig, setBig, viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { targeted } from "../caller.ts";
import * as inject from "../hvm-inject.ts";
import * as irq from "../hvm-irq.ts";
import * as mem from "../hvm-memory.ts";
import * as ioreq from "../ioreq-op.ts";
import type { IoRangeKind } from "../ioreq.ts";
import { relocateMemory } from "../physmap-op.ts";
import { dmopRemoteShutdown } from "../sched-op.ts";
import { readBytes } from "./caller-memory.ts";
import { operation, prepare, query, unknownCommand } from "./operation.ts";
import type { Arrived, Family, Prepared } from "./operation.ts";

/** A buffer of the caller's. */
export interface DmBuffer {
  readonly address: number;
  readonly size: number;
}

/** A device model's operation as it arrived. */
interface Asked {
  readonly call: Arrived;
  readonly domid: number;
  readonly buffers: readonly DmBuffer[];
  /** The operation's own structure, as long as it is. */
  readonly view: DataView;
  /** Puts the structure back into the caller's buffer. */
  readonly answer: () => 0 | Failure;
}

/** Extents of one call; a model that wrote says so of one. */
const EXTENTS_MAX = 1 << 16;

/** How an operation is taken out of its structure, and how long that is. */
interface DmOp {
  readonly sizeof: number;
  readonly take: (asked: Asked) => Prepared | Failure;
}

const createIoreqServer = operation("dm_op create_ioreq_server", ioreq.createIoreqServer);
const destroyIoreqServer = operation("dm_op destroy_ioreq_server", ioreq.destroyIoreqServer);
const getIoreqServerInfo = operation("dm_op get_ioreq_server_info", ioreq.getIoreqServerInfo);
const setIoreqServerState = operation("dm_op set_ioreq_server_state", ioreq.setIoreqServerState);
const mapIoRange = operation("dm_op map_io_range_to_ioreq_server", ioreq.mapIoRange);
const unmapIoRange = operation("dm_op unmap_io_range_from_ioreq_server", ioreq.unmapIoRange);
const setPciIntxLevel = operation("dm_op set_pci_intx_level", irq.setPciIntxLevel);
const setIsaIrqLevel = operation("dm_op set_isa_irq_level", irq.setIsaIrqLevel);
const setPciLinkRoute = operation("dm_op set_pci_link_route", irq.setPciLinkRoute);
const setMemType = operation("dm_op set_mem_type", mem.setMemType);
const pinMemoryCacheattr = operation("dm_op pin_memory_cacheattr", mem.pinMemoryCacheattr);
const trackDirtyVram = operation("dm_op track_dirty_vram", mem.trackDirtyVram);
const modifiedMemory = operation("dm_op modified_memory", mem.modifiedMemory);
const relocate = operation("dm_op relocate_memory", relocateMemory);
const injectEvent = operation("dm_op inject_event", inject.injectEvent);
const injectMsi = operation("dm_op inject_msi", inject.injectMsi);
const mapMemType = operation("dm_op map_mem_type_to_ioreq_server", mem.mapMemType);
const remoteShutdown = operation("dm_op remote_shutdown", dmopRemoteShutdown);
const nrVcpus = query("dm_op nr_vcpus", (host, caller, { domid }: { domid: number }) => {
  const d = targeted(host, caller, domid);
  return isFailure(d) ? d : d.type === "pv" ? fail("EINVAL") : d.maxVcpus;
});

const rangeKinds: { readonly [type: number]: IoRangeKind } = {
  [X.XEN_DMOP_IO_RANGE_PORT]: "port",
  [X.XEN_DMOP_IO_RANGE_MEMORY]: "memory",
  [X.XEN_DMOP_IO_RANGE_PCI]: "pci",
};

/** HVMMEM_*, an enumeration of public/hvm/hvm_op.h in which 3 is unused. */
const memTypes: { readonly [type: number]: mem.MemType } = {
  0: "ram_rw",
  1: "ram_ro",
  2: "mmio_dm",
  4: "ioreq_server",
};

const { xen_dm_op_ioreq_server_range: rangeStruct } = abi;

function changeRange(made: typeof mapIoRange): DmOp {
  const { sizeof, id, type, start, end } = rangeStruct;
  const take = ({ domid, view }: Asked): Prepared => {
    const kind = rangeKinds[type.get(view)] ?? null;
    return prepare(made, {
      domid,
      id: id.get(view),
      kind,
      start: getBig(view, start),
      end: getBig(view, end),
    });
  };
  return { sizeof, take };
}

function create({ domid, view, answer }: Asked): Prepared {
  const s = abi.xen_dm_op_create_ioreq_server;
  return prepare(createIoreqServer, { domid, bufioreqHandling: s.handle_bufioreq.get(view) }, (id) => {
    s.id.set(view, id);
    return answer();
  });
}

function info({ domid, view, answer }: Asked): Prepared {
  const s = abi.xen_dm_op_get_ioreq_server_info;
  const noGfns = (s.flags.get(view) & X.XEN_DMOP_no_gfns) !== 0;
  return prepare(getIoreqServerInfo, { domid, id: s.id.get(view), noGfns }, (told) => {
    if (!noGfns) {
      setBig(view, s.ioreq_gfn, BigInt(told.ioreqGfn));
      setBig(view, s.bufioreq_gfn, BigInt(told.bufioreqGfn));
    }
    if (told.bufioreqPort !== 0) s.bufioreq_port.set(view, told.bufioreqPort);
    return answer();
  });
}

function dirtyVram({ call, domid, buffers, view }: Asked): Prepared | Failure {
  const s = abi.xen_dm_op_track_dirty_vram;
  const bitmap = buffers[1];
  if (s.pad.get(view) !== 0 || bitmap === undefined) return fail("EINVAL");
  const asked = { domid, first: s.first_pfn.get(view), nr: s.nr.get(view), room: bitmap.size };
  return prepare(trackDirtyVram, asked, (told) => call.memory.write(bitmap.address, told.bitmap));
}

function modified({ call, domid, buffers, view }: Asked): Prepared | Failure {
  const s = abi.xen_dm_op_modified_memory_extent;
  const list = buffers[1];
  const count = abi.xen_dm_op_modified_memory.nr_extents.get(view);
  if (count > EXTENTS_MAX) return fail("E2BIG");
  if (list === undefined || buffers.length !== 2 || count > list.size / s.sizeof) return fail("EINVAL");
  const bytes = readBytes(call.memory, list.address, count * s.sizeof);
  if (isFailure(bytes)) return bytes;
  const each = viewOf(bytes);
  const extents = Array.from({ length: count }, (_, i) => ({
    first: s.first_pfn.get(each, i * s.sizeof),
    nr: s.nr.get(each, i * s.sizeof),
    pad: s.pad.get(each, i * s.sizeof),
  }));
  return prepare(modifiedMemory, { domid, extents });
}

function event({ domid, view }: Asked): Prepared | Failure {
  const s = abi.xen_dm_op_inject_event;
  if (s.pad0.get(view) !== 0 || s.pad1.get(view) !== 0) return fail("EINVAL");
  return prepare(injectEvent, {
    domid,
    vcpu: s.vcpuid.get(view),
    event: {
      vector: s.vector.get(view),
      type: s.type.get(view),
      insnLength: s.insn_len.get(view),
      errorCode: s.error_code.get(view),
      cr2: getBig(view, s.cr2),
    },
  });
}

function msi({ domid, view }: Asked): Prepared | Failure {
  const { data, pad, addr } = abi.xen_dm_op_inject_msi;
  if (pad.get(view) !== 0) return fail("EINVAL");
  return prepare(injectMsi, { domid, address: getBig(view, addr), data: data.get(view) });
}

function memType({ domid, view }: Asked): Prepared {
  const { id, type, flags, opaque } = abi.xen_dm_op_map_mem_type_to_ioreq_server;
  return prepare(mapMemType, {
    domid,
    id: id.get(view),
    type: type.get(view),
    flags: flags.get(view),
    opaque: opaque.get(view),
  });
}

function vcpus({ domid, view, answer }: Asked): Prepared {
  return prepare(nrVcpus, { domid }, (count) => {
    abi.xen_dm_op_nr_vcpus.vcpus.set(view, count);
    return answer();
  });
}

const commands: { readonly [command: number]: DmOp } = {
  [X.XEN_DMOP_create_ioreq_server]: { sizeof: abi.xen_dm_op_create_ioreq_server.sizeof, take: create },
  [X.XEN_DMOP_get_ioreq_server_info]: { sizeof: abi.xen_dm_op_get_ioreq_server_info.sizeof, take: info },
  [X.XEN_DMOP_map_io_range_to_ioreq_server]: changeRange(mapIoRange),
  [X.XEN_DMOP_unmap_io_range_from_ioreq_server]: changeRange(unmapIoRange),
  [X.XEN_DMOP_set_ioreq_server_state]: {
    sizeof: abi.xen_dm_op_set_ioreq_server_state.sizeof,
    take: ({ domid, view }) => {
      const { id, enabled } = abi.xen_dm_op_set_ioreq_server_state;
      return prepare(setIoreqServerState, { domid, id: id.get(view), enabled: enabled.get(view) !== 0 });
    },
  },
  [X.XEN_DMOP_destroy_ioreq_server]: {
    sizeof: abi.xen_dm_op_destroy_ioreq_server.sizeof,
    take: ({ domid, view }) =>
      prepare(destroyIoreqServer, { domid, id: abi.xen_dm_op_destroy_ioreq_server.id.get(view) }),
  },
  [X.XEN_DMOP_track_dirty_vram]: { sizeof: abi.xen_dm_op_track_dirty_vram.sizeof, take: dirtyVram },
  [X.XEN_DMOP_set_pci_intx_level]: {
    sizeof: abi.xen_dm_op_set_pci_intx_level.sizeof,
    take: ({ domid, view }) => {
      const { domain, bus, device, intx, level } = abi.xen_dm_op_set_pci_intx_level;
      return prepare(setPciIntxLevel, {
        domid,
        segment: domain.get(view),
        bus: bus.get(view),
        device: device.get(view),
        intx: intx.get(view),
        level: level.get(view),
      });
    },
  },
  [X.XEN_DMOP_set_isa_irq_level]: {
    sizeof: abi.xen_dm_op_set_isa_irq_level.sizeof,
    take: ({ domid, view }) => {
      const { isa_irq, level } = abi.xen_dm_op_set_isa_irq_level;
      return prepare(setIsaIrqLevel, { domid, irq: isa_irq.get(view), level: level.get(view) });
    },
  },
  [X.XEN_DMOP_set_pci_link_route]: {
    sizeof: abi.xen_dm_op_set_pci_link_route.sizeof,
    take: ({ domid, view }) => {
      const { link, isa_irq } = abi.xen_dm_op_set_pci_link_route;
      return prepare(setPciLinkRoute, { domid, link: link.get(view), irq: isa_irq.get(view) });
    },
  },
  [X.XEN_DMOP_modified_memory]: { sizeof: abi.xen_dm_op_modified_memory.sizeof, take: modified },
  [X.XEN_DMOP_set_mem_type]: {
    sizeof: abi.xen_dm_op_set_mem_type.sizeof,
    take: ({ domid, view }) => {
      const { nr, mem_type, pad, first_pfn } = abi.xen_dm_op_set_mem_type;
      if (pad.get(view) !== 0) return fail("EINVAL");
      const type = memTypes[mem_type.get(view)] ?? null;
      return prepare(setMemType, { domid, first: first_pfn.get(view), nr: nr.get(view), type });
    },
  },
  [X.XEN_DMOP_inject_event]: { sizeof: abi.xen_dm_op_inject_event.sizeof, take: event },
  [X.XEN_DMOP_inject_msi]: { sizeof: abi.xen_dm_op_inject_msi.sizeof, take: msi },
  [X.XEN_DMOP_map_mem_type_to_ioreq_server]: {
    sizeof: abi.xen_dm_op_map_mem_type_to_ioreq_server.sizeof,
    take: memType,
  },
  [X.XEN_DMOP_remote_shutdown]: {
    sizeof: abi.xen_dm_op_remote_shutdown.sizeof,
    take: ({ domid, view }) =>
      prepare(remoteShutdown, { domid, reason: abi.xen_dm_op_remote_shutdown.reason.get(view) }),
  },
  [X.XEN_DMOP_relocate_memory]: {
    sizeof: abi.xen_dm_op_relocate_memory.sizeof,
    take: ({ domid, view }) => {
      const { size, pad, src_gfn, dst_gfn } = abi.xen_dm_op_relocate_memory;
      if (pad.get(view) !== 0) return fail("EINVAL");
      return prepare(relocate, { domid, from: src_gfn.get(view), to: dst_gfn.get(view), nr: size.get(view) });
    },
  },
  [X.XEN_DMOP_pin_memory_cacheattr]: {
    sizeof: abi.xen_dm_op_pin_memory_cacheattr.sizeof,
    take: ({ domid, view }) => {
      const { start, end, type, pad } = abi.xen_dm_op_pin_memory_cacheattr;
      if (pad.get(view) !== 0) return fail("EINVAL");
      return prepare(pinMemoryCacheattr, {
        domid,
        start: start.get(view),
        end: end.get(view),
        type: type.get(view),
      });
    },
  },
  [X.XEN_DMOP_nr_vcpus]: { sizeof: abi.xen_dm_op_nr_vcpus.sizeof, take: vcpus },
};

/** Where the operation's own structure begins: behind its number. */
const BEHIND_COMMAND = abi.xen_dm_op.u.offset;

/** Whether a device model may do anything to that domain: ESRCH, EPERM, also for its own; EINVAL for PV. */
function mayModel({ host, caller }: Arrived, domid: number): 0 | Failure {
  if (domid === caller.domid) return fail("EPERM");
  const d = ioreq.emulated(host, caller, domid);
  return isFailure(d) ? d : 0;
}

/** Buffers of one operation. */
const BUFFERS_MAX = 2;

/** `dm_op(domid, nr_bufs, bufs)` */
export const dmOpCall: Family = (call) => {
  const [domid = 0, count = 0, address = 0] = call.args;
  if (count > BUFFERS_MAX) return fail("E2BIG");
  const { sizeof, h, size } = abi.xen_dm_op_buf;
  const bytes = call.memory.read(address, count * sizeof);
  if (isFailure(bytes)) return bytes;
  const list = viewOf(bytes);
  const buffers = Array.from({ length: count }, (_, i): DmBuffer => ({
    address: h.get(list, i * sizeof),
    size: size.get(list, i * sizeof),
  }));
  return dmOp(call, domid, buffers);
};

/** A device model's operation, its list of buffers already taken from the caller: also ENODATA, E2BIG. */
export function dmOp(call: Arrived, domid: number, buffers: readonly DmBuffer[]): Prepared | Failure {
  const [first] = buffers;
  if (first === undefined) return fail("ENODATA");
  if (buffers.length > BUFFERS_MAX) return fail("E2BIG");
  const may = mayModel(call, domid);
  if (isFailure(may)) return may;
  if (first.size < BEHIND_COMMAND) return fail("EFAULT");
  const head = call.memory.read(first.address, BEHIND_COMMAND);
  if (isFailure(head)) return head;
  const command = abi.xen_dm_op.op.get(viewOf(head));
  const known = commands[command];
  if (known === undefined) return unknownCommand("dm_op", "XEN_DMOP_", command, "EOPNOTSUPP");
  if (first.size < BEHIND_COMMAND + known.sizeof) return fail("EFAULT");
  const bytes = call.memory.read(first.address + BEHIND_COMMAND, known.sizeof);
  if (isFailure(bytes)) return bytes;
  if (abi.xen_dm_op.pad.get(viewOf(head)) !== 0) return fail("EINVAL");
  const answer = (): 0 | Failure => call.memory.write(first.address + BEHIND_COMMAND, bytes);
  return known.take({ call, domid, buffers, view: viewOf(bytes), answer });
}
