// SPDX-License-Identifier: Apache-2.0
//
// The device model, and VNC and SDL settings at the top level.

import { isFailure } from "../../engine/errno.ts";
import { deviceVfb, deviceVkb, type DeviceVfb } from "./domain-config.ts";
import {
  die,
  exitErrorFail,
  takeDefbool,
  takeInt,
  takeMebibytes,
  takeString,
  takeStringList,
  type Parse,
  type Section,
} from "./parse-context.ts";
import { getList, getLong, getString } from "./reader.ts";

/** device_model*, stubdomain_*, vnc*, sdl*, dm_restrict. */
export const parseDeviceModel: Section = (parse) => {
  const { b_info } = parse.domain;
  warnDeviceModel(parse);
  takeString(parse, "device_model_override", b_info, "device_model");
  const version = getString(parse, "device_model_version");
  if (version === "qemu-xen-traditional") b_info.device_model_version = "qemu_xen_traditional";
  else if (version === "qemu-xen") b_info.device_model_version = "qemu_xen";
  else if (version !== null) return die(parse, `Unknown device_model_version "${version}" specified\n`);
  else if (b_info.device_model !== null) {
    parse.stderr += "WARNING: device model override given without specific DM version\n";
  }
  takeDefbool(parse, "device_model_stubdomain_override", b_info, "device_model_stubdomain");
  takeString(parse, "device_model_stubdomain_seclabel", b_info, "device_model_ssid_label");
  takeString(parse, "device_model_user", b_info, "device_model_user");
  takeString(parse, "stubdomain_kernel", b_info, "stubdomain_kernel");
  takeString(parse, "stubdomain_cmdline", b_info, "stubdomain_cmdline");
  takeString(parse, "stubdomain_ramdisk", b_info, "stubdomain_ramdisk");
  takeMebibytes(parse, "stubdomain_memory", b_info, "stubdomain_memkb");
  for (const type of ["", "_pv", "_hvm"] as const) {
    const key = `device_model_args${type}`;
    if (takeStringList(parse, key, b_info, `extra${type}`) !== "atom") continue;
    getList(parse, key); // warns
    return die(parse, `xl: Unable to parse ${key}.\n`, exitErrorFail);
  }
  parseTopLevelDisplay(parse);
  takeDefbool(parse, "dm_restrict", b_info, "dm_restrict");
  return undefined;
};

function warnDeviceModel(parse: Parse): void {
  const model = getString(parse, "device_model");
  if (model === null) return;
  parse.stderr +=
    "WARNING: ignoring device_model directive.\n" +
    'WARNING: Use "device_model_override" instead if you really want a non-default device_model\n';
  if (!model.includes("stubdom-dm")) return;
  parse.stderr +=
    parse.domain.c_info.type === "hvm"
      ? 'WARNING: Or use "device_model_stubdomain_override" if you  want to enable stubdomains\n'
      : 'WARNING: ignoring "device_model_stubdomain_override" directive for pv guest\n';
}

/** For PV guests top-level vnc=1 makes a frame buffer, unless vfb= gave some already. */
function parseTopLevelDisplay(parse: Parse): void {
  const { c_info, b_info, vfbs, vkbs } = parse.domain;
  if (c_info.type !== "pv" || vfbs.length > 0) {
    // Guests without a place for these get the warnings all the same.
    takeDisplay(parse, b_info.u.type === "hvm" ? b_info.u : deviceVfb.init());
    return;
  }
  const vnc = getLong(parse, "vnc");
  if (isFailure(vnc) || vnc === 0n) return;
  const vfb = { ...deviceVfb.init(), devid: vfbs.length };
  takeDisplay(parse, vfb);
  takeString(parse, "keymap", vfb, "keymap");
  vfbs.push(vfb);
  vkbs.push({ ...deviceVkb.init(), devid: vkbs.length });
}

function takeDisplay(parse: Parse, { vnc, sdl }: Pick<DeviceVfb, "vnc" | "sdl">): void {
  takeDefbool(parse, "vnc", vnc, "enable");
  takeString(parse, "vnclisten", vnc, "listen");
  takeString(parse, "vncpasswd", vnc, "passwd");
  takeInt(parse, "vncdisplay", vnc, "display");
  takeDefbool(parse, "vncunused", vnc, "findunused");
  takeDefbool(parse, "sdl", sdl, "enable");
  takeDefbool(parse, "opengl", sdl, "opengl");
  takeString(parse, "display", sdl, "display");
  takeString(parse, "xauthority", sdl, "xauthority");
}
