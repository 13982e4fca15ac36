// SPDX-License-Identifier: Apache-2.0
//
// sysctl: the binary form of XEN_SYSCTL_*. One structure holds the command, the
// interface version and a union; results go back into it and into arrays.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, viewOf } from "../../../abi/struct.ts";
import type { NumberField } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { psrSysctl } from "../absent.ts";
import { isPrivileged } from "../caller.ts";
import type { DomainInfoReply } from "../dominfo.ts";
import { versionOf } from "../machine.ts";
import * as op from "../sysctl.ts";
import { latin1, readBytes, writeU32s } from "./caller-memory.ts";
import { cpupoolOp, schedulerOp } from "./cpupool.ts";
import { featuresetCommand, systemPolicyCommand } from "./cpu-policy.ts";
import { putDomainInfo } from "./dominfo.ts";
import { livepatchOp } from "./livepatch.ts";
import { operation, prepare, query, unknownCommand } from "./operation.ts";
import type { Family, Prepared } from "./operation.ts";
import { getPmStat, pmOp } from "./power.ts";
import type { SysctlCall } from "./sysctl-call.ts";

/** Where the union is: fields of a command's structure are read and written from there. */
const U = abi.xen_sysctl.u.offset;
/** Domains of one list: what there could be. */
const DOMAINS_MAX = 0x7ff0;

type Decoder = (call: SysctlCall) => Prepared | number | Failure;

const getdomaininfolist = query("sysctl getdomaininfolist", op.getdomaininfolist);
const physinfo = query("sysctl physinfo", (host, caller, _args: null) => op.physinfo(host, caller));
const readconsole = operation("sysctl readconsole", op.readconsole);
const debugKeys = operation("sysctl debug_keys", op.debugKeys);
const numainfo = query("sysctl numainfo", (host, caller, _args: null) => op.numainfo(host, caller));
const cputopoinfo = query("sysctl cputopoinfo", (host, caller, _args: null) => op.cputopoinfo(host, caller));
const getcpuinfo = query("sysctl getcpuinfo", (host, caller, _args: null) => op.getcpuinfo(host, caller));
const schedId = query("sysctl sched_id", (host, caller, _args: null) => op.schedId(host, caller));

function domainList(call: SysctlCall): Prepared {
  const s = abi.xen_sysctl_getdomaininfolist;
  const { view, memory, copyBack } = call;
  const asked = {
    firstDomain: s.first_domain.get(view, U),
    maxDomains: Math.min(s.max_domains.get(view, U), DOMAINS_MAX),
  };
  return prepare(getdomaininfolist, asked, (infos: DomainInfoReply[]) => {
    const size = abi.xen_domctl_getdomaininfo.sizeof;
    const list = new DataView(new ArrayBuffer(infos.length * size));
    for (const [i, info] of infos.entries()) putDomainInfo(list, info, i * size);
    const written = infos.length === 0 ? 0 : memory.write(s.buffer.get(view, U), bytesOf(list));
    if (isFailure(written)) return written;
    s.num_domains.set(view, infos.length, U);
    return copyBack();
  });
}

function physicalInfo({ view, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_physinfo;
  return prepare(physinfo, null, (info) => {
    const values: readonly [NumberField, number][] = [
      [s.threads_per_core, info.threadsPerCore],
      [s.cores_per_socket, info.coresPerSocket],
      [s.nr_cpus, info.nrCpus],
      [s.max_cpu_id, info.maxCpuId],
      [s.nr_nodes, info.nrNodes],
      [s.max_node_id, info.maxNodeId],
      [s.cpu_khz, info.cpuKhz],
      [s.capabilities, info.capabilities],
      [s.arch_capabilities, 0],
      [s.total_pages, info.totalPages],
      [s.free_pages, info.freePages],
      [s.scrub_pages, info.scrubPages],
      [s.outstanding_pages, info.outstandingPages],
      [s.max_mfn, info.maxMfn],
    ];
    for (const [field, value] of values) field.set(view, value, U);
    for (const [i, word] of info.hwCap.entries()) view.setUint32(U + s.hw_cap.offset + i * 4, word, true);
    return copyBack();
  });
}

function consoleRing({ view, memory, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_readconsole;
  const incremental = s.incremental.get(view, U) !== 0;
  const asked = {
    index: incremental ? s.index.get(view, U) : 0,
    clear: s.clear.get(view, U) !== 0,
    room: s.count.get(view, U),
  };
  return prepare(readconsole, asked, ({ text, index }) => {
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const written = text === "" ? 0 : memory.write(s.buffer.get(view, U), bytes);
    if (isFailure(written)) return written;
    s.count.set(view, text.length, U);
    s.index.set(view, index, U);
    return copyBack();
  });
}

function keys({ view, memory }: SysctlCall): Prepared | Failure {
  const s = abi.xen_sysctl_debug_keys;
  const pressed = readBytes(memory, s.keys.get(view, U), s.nr_keys.get(view, U));
  return isFailure(pressed) ? pressed : prepare(debugKeys, { keys: latin1(pressed) });
}

/** Two null handles ask how many nodes there are; otherwise as many are told of as there is room for. */
function numa({ view, memory, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_numainfo;
  return prepare(numainfo, null, ({ meminfo, distance }) => {
    const [meminfoAt, distanceAt] = [s.meminfo.get(view, U), s.distance.get(view, U)];
    const room = meminfoAt === 0 && distanceAt === 0 ? meminfo.length : s.num_nodes.get(view, U);
    const told = meminfo.slice(0, room);
    if (meminfoAt !== 0 && told.length > 0) {
      const m = abi.xen_sysctl_meminfo;
      const list = new DataView(new ArrayBuffer(told.length * m.sizeof));
      for (const [i, node] of told.entries()) {
        m.memsize.set(list, node.memsize, i * m.sizeof);
        m.memfree.set(list, node.memfree, i * m.sizeof);
      }
      const written = memory.write(meminfoAt, bytesOf(list));
      if (isFailure(written)) return written;
    }
    if (distanceAt !== 0 && told.length > 0) {
      const square = distance.slice(0, room).flatMap((row) => row.slice(0, room));
      const written = writeU32s(memory, distanceAt, square);
      if (isFailure(written)) return written;
    }
    s.num_nodes.set(view, told.length, U);
    return copyBack();
  });
}

function cpuTopology({ view, memory, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_cputopoinfo;
  return prepare(cputopoinfo, null, (cpus) => {
    const address = s.cputopo.get(view, U);
    const listed = address === 0 ? [] : cpus.slice(0, s.num_cpus.get(view, U));
    const written = writeU32s(
      memory,
      address,
      listed.flatMap(({ core, socket, node }) => [core, socket, node]),
    );
    if (address !== 0 && isFailure(written)) return written;
    s.num_cpus.set(view, address === 0 ? cpus.length : listed.length, U);
    return copyBack();
  });
}

/** The machine has no PCI devices: Xen knows none of those it is asked about. */
function pciTopology({ view, memory }: SysctlCall): number | Failure {
  const s = abi.xen_sysctl_pcitopoinfo;
  const [devices, nodes, count] = [s.devs.get(view, U), s.nodes.get(view, U), s.num_devs.get(view, U)];
  if (devices === 0 || nodes === 0) return fail("EINVAL");
  const asked = readBytes(memory, devices, count * abi.physdev_pci_device.sizeof);
  if (isFailure(asked)) return asked;
  return writeU32s(memory, nodes, Array<number>(count).fill(X.XEN_INVALID_DEV));
}

function cpuInfo({ view, memory, copyBack }: SysctlCall): Prepared {
  const s = abi.xen_sysctl_getcpuinfo;
  return prepare(getcpuinfo, null, (cpus) => {
    const { sizeof, idletime } = abi.xen_sysctl_cpuinfo;
    const listed = cpus.slice(0, s.max_cpus.get(view, U));
    const list = new DataView(new ArrayBuffer(listed.length * sizeof));
    for (const [i, cpu] of listed.entries()) idletime.set(list, cpu.idletime, i * sizeof);
    const written = memory.write(s.info.get(view, U), bytesOf(list));
    if (isFailure(written)) return written;
    s.nr_cpus.set(view, listed.length, U);
    return copyBack();
  });
}

const commands: { readonly [command: number]: Decoder } = {
  [X.XEN_SYSCTL_readconsole]: consoleRing,
  [X.XEN_SYSCTL_physinfo]: physicalInfo,
  [X.XEN_SYSCTL_sched_id]: ({ view, copyBack }) =>
    prepare(schedId, null, (id) => {
      abi.xen_sysctl_sched_id.sched_id.set(view, id, U);
      return copyBack();
    }),
  [X.XEN_SYSCTL_getdomaininfolist]: domainList,
  [X.XEN_SYSCTL_debug_keys]: keys,
  [X.XEN_SYSCTL_getcpuinfo]: cpuInfo,
  [X.XEN_SYSCTL_availheap]: ({ view, copyBack }) =>
    prepare(physinfo, null, ({ freePages }) => {
      abi.xen_sysctl_availheap.avail_bytes.set(view, freePages * 4096, U);
      return copyBack();
    }),
  [X.XEN_SYSCTL_cputopoinfo]: cpuTopology,
  [X.XEN_SYSCTL_numainfo]: numa,
  [X.XEN_SYSCTL_cpupool_op]: cpupoolOp,
  [X.XEN_SYSCTL_scheduler_op]: schedulerOp,
  [X.XEN_SYSCTL_psr_cmt_op]: ({ host, caller }) => psrSysctl(host, caller),
  [X.XEN_SYSCTL_psr_alloc]: ({ host, caller }) => psrSysctl(host, caller),
  [X.XEN_SYSCTL_get_cpu_levelling_caps]: ({ view, copyBack }) => {
    abi.xen_sysctl_cpu_levelling_caps.caps.set(view, 0, U);
    return copyBack();
  },
  [X.XEN_SYSCTL_get_cpu_featureset]: featuresetCommand,
  [X.XEN_SYSCTL_get_cpu_policy]: systemPolicyCommand,
  [X.XEN_SYSCTL_pcitopoinfo]: pciTopology,
  [X.XEN_SYSCTL_get_pmstat]: getPmStat,
  [X.XEN_SYSCTL_pm_op]: pmOp,
  [X.XEN_SYSCTL_livepatch_op]: livepatchOp,
  // Debian's Xen is built without CONFIG_COVERAGE.
  [X.XEN_SYSCTL_coverage_op]: () => fail("EOPNOTSUPP"),
};

/** `sysctl(u_sysctl)`: EACCES for a tool of another version, EPERM but for control domains (do_sysctl). */
export const sysctlOp: Family = (call) => {
  const address = call.args[0] ?? 0;
  const bytes = call.memory.read(address, abi.xen_sysctl.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  if (abi.xen_sysctl.interface_version.get(view) !== versionOf(call.host).sysctlInterface)
    return fail("EACCES");
  if (!isPrivileged(call.host, call.caller)) return fail("EPERM");
  const command = abi.xen_sysctl.cmd.get(view);
  const decode = commands[command];
  if (decode === undefined) return unknownCommand("sysctl", "XEN_SYSCTL_", command);
  return decode({ ...call, view, copyBack: () => call.memory.write(address, bytes) });
};
