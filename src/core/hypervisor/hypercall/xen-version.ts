// SPDX-License-Identifier: Apache-2.0
//
// xen_version: what is running (xen/common/kernel.c, do_xen_version).

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, viewOf, zeroed } from "../../../abi/struct.ts";
import { must } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { isPrivileged } from "../caller.ts";
import { domainCell, domainInfoCell, hardwareDomid } from "../domain.ts";
import { machineOf, versionOf } from "../machine.ts";
import { VMASST_TYPE_pae_extended_cr3 } from "../vm-assist.ts";
import { unhex, writeText } from "./caller-memory.ts";
import { unknownCommand } from "./operation.ts";
import type { Arrived, Family } from "./operation.ts";

/** What guests can be: the domains the toolstack may build. */
export const capabilities = "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
/** Where Xen's own part of a PV guest's address space begins. */
export const virtStart = 0xffff_8000_0000_0000n;
/** Who made this hypervisor; there is no compiler behind it. */
export const compileInfo = {
  compiler: "xenolith",
  compileBy: "",
  compileDomain: "",
  compileDate: "",
} as const;
/** `xen_extraversion_t`, `xen_changeset_info_t`, `xen_commandline_t`, `xen_capabilities_info_t` */
const SIZES = { extraversion: 16, changeset: 64, commandline: 1024, capabilities: 1024 } as const;
const PAGE_BYTES = 4096;

function characters(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function compiled({ memory }: Arrived, address: number): 0 | Failure {
  const s = abi.xen_compile_info;
  const view = zeroed(s);
  s.compiler.set(view, characters(compileInfo.compiler));
  s.compile_by.set(view, characters(compileInfo.compileBy));
  s.compile_domain.set(view, characters(compileInfo.compileDomain));
  s.compile_date.set(view, characters(compileInfo.compileDate));
  return memory.write(address, bytesOf(view));
}

function platformParameters({ memory }: Arrived, address: number): 0 | Failure {
  const view = zeroed(abi.xen_platform_parameters);
  view.setBigUint64(abi.xen_platform_parameters.virt_start.offset, virtStart, true);
  return memory.write(address, bytesOf(view));
}

const PV_FEATURES = [
  X.XENFEAT_mmu_pt_update_preserve_ad,
  X.XENFEAT_highmem_assist,
  X.XENFEAT_gnttab_map_avail_bits,
  X.XENFEAT_direct_mapped,
];
const TRANSLATED_FEATURES = [
  X.XENFEAT_writable_page_tables,
  X.XENFEAT_auto_translated_physmap,
  X.XENFEAT_hvm_safe_pvclock,
  X.XENFEAT_hvm_callback_vector,
  X.XENFEAT_not_direct_mapped,
];

/** What Xen does for a domain, a bit each. */
function featuresOf(host: Host, domid: number): number {
  const { type } = must(host, domainCell, domid);
  const { vmAssist, emulationFlags } = must(host, domainInfoCell, domid);
  const bits = [X.XENFEAT_memory_op_vnode_supported, ...(type === "pv" ? PV_FEATURES : TRANSLATED_FEATURES)];
  if ((vmAssist & (1 << VMASST_TYPE_pae_extended_cr3)) !== 0) bits.push(X.XENFEAT_pae_pgdir_above_4gb);
  if (domid === hardwareDomid) bits.push(X.XENFEAT_dom0);
  if (type !== "pv" && (emulationFlags & X.XEN_X86_EMU_USE_PIRQ) !== 0) bits.push(X.XENFEAT_hvm_pirqs);
  return bits.reduce((submap, bit) => submap | (1 << bit), 0);
}

/** Only submap 0 has bits. */
function features({ host, caller, memory }: Arrived, address: number): 0 | Failure {
  const s = abi.xen_feature_info;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  if (s.submap_idx.get(view) !== 0) return fail("EINVAL");
  s.submap.set(view, featuresOf(host, caller.domid));
  return memory.write(address, bytes);
}

/** The command line is for control domains alone; others read this in its place (xen_deny). */
const DENIED = "<denied>";

function commandLine({ host, caller, memory }: Arrived, address: number): 0 | Failure {
  return isPrivileged(host, caller)
    ? writeText(memory, address, machineOf(host).commandLine, SIZES.commandline)
    : writeText(memory, address, DENIED, DENIED.length + 1);
}

/** There is no build to identify. */
function buildId({ host, caller, memory }: Arrived, address: number): Failure {
  if (!isPrivileged(host, caller)) return fail("EPERM");
  if (address === 0) return fail("ENODATA");
  const length = memory.read(address, 4);
  if (isFailure(length)) return length;
  return fail(viewOf(length).getUint32(0, true) === 0 ? "EINVAL" : "ENODATA");
}

const commands: { readonly [command: number]: (call: Arrived, address: number) => number | Failure } = {
  [X.XENVER_version]: ({ host }) => versionOf(host).major * 65536 + versionOf(host).minor,
  [X.XENVER_extraversion]: ({ host, memory }, address) =>
    writeText(memory, address, versionOf(host).extra, SIZES.extraversion),
  [X.XENVER_compile_info]: compiled,
  [X.XENVER_capabilities]: ({ memory }, address) =>
    writeText(memory, address, capabilities, SIZES.capabilities),
  [X.XENVER_changeset]: ({ memory }, address) => writeText(memory, address, "", SIZES.changeset),
  [X.XENVER_platform_parameters]: platformParameters,
  [X.XENVER_get_features]: features,
  [X.XENVER_pagesize]: (_call, address) => (address === 0 ? PAGE_BYTES : fail("EINVAL")),
  [X.XENVER_guest_handle]: ({ host, caller, memory }, address) =>
    memory.write(address, unhex(must(host, domainInfoCell, caller.domid).handle)),
  [X.XENVER_commandline]: commandLine,
  [X.XENVER_build_id]: buildId,
};

/** `xen_version(cmd, arg)` */
export const xenVersionOp: Family = (call) => {
  const [command = 0, address = 0] = call.args;
  const found = commands[command];
  return found === undefined ? unknownCommand("xen_version", "XENVER_", command) : found(call, address);
};
