// SPDX-License-Identifier: Apache-2.0
//
// xen_version: what is running (xen/common/kernel.c, do_xen_version).

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, viewOf, zeroed } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { machineOf, versionOf } from "../machine.ts";
import { writeText } from "./caller-memory.ts";
import { unknownCall } from "./operation.ts";
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

/** Only submap 0 has bits, and none of them is a caller's here: dom0's kernel does not ask this way. */
function features({ memory }: Arrived, address: number): 0 | Failure {
  const s = abi.xen_feature_info;
  const bytes = memory.read(address, s.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  if (s.submap_idx.get(view) !== 0) return fail("EINVAL");
  s.submap.set(view, 0);
  return memory.write(address, bytes);
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
  [X.XENVER_pagesize]: () => PAGE_BYTES,
  [X.XENVER_commandline]: ({ host, memory }, address) =>
    writeText(memory, address, machineOf(host).commandLine, SIZES.commandline),
  // There is no build to identify.
  [X.XENVER_build_id]: () => fail("ENODATA"),
};

/** `xen_version(cmd, arg)` */
export const xenVersionOp: Family = (call) => {
  const [command = 0, address = 0] = call.args;
  const found = commands[command];
  return found === undefined ? unknownCall(`xen_version ${command}`) : found(call, address);
};
