// SPDX-License-Identifier: Apache-2.0
//
// What only HVM guests have: firmware, Viridian, and the devices QEMU emulates.

import { isFailure } from "../../engine/errno.ts";
import { type DomainBuildInfo } from "./domain-config.ts";
import { biosTypes, gfxPassthruKinds, hdTypes, vendorDevices, viridianEnlightenments } from "./hvm-info.ts";
import {
  die,
  exitErrorFail,
  runSections,
  takeDefbool,
  takeInt,
  takeMebibytes,
  takeString,
  takeStringList,
  type Parse,
  type Section,
} from "./parse-context.ts";
import { getDefbool, getList, getLong, getString, listItem, settingKind } from "./reader.ts";
import { enumFromString } from "./strtol.ts";

type HvmInfo = Extract<DomainBuildInfo["u"], { type: "hvm" }>;

/** The HVM part of b_info; only called for HVM guests. */
function hvmOf(parse: Parse): HvmInfo {
  return parse.domain.b_info.u as HvmInfo;
}

/** bios=, firmware= and the chip set. */
export const parseHvmFirmware: Section = (parse) => {
  const { b_info } = parse.domain;
  const hvm = hvmOf(parse);
  if (b_info.kernel?.split("/").at(-1) === "hvmloader") {
    parse.stderr +=
      'WARNING: you seem to be using "kernel" directive to override HVM guest firmware. ' +
      'Ignore that. Use "firmware_override" instead if you really want a non-default firmware\n';
    b_info.kernel = null;
  }
  takeString(parse, "firmware_override", hvm, "firmware");
  takeString(parse, "bios_path_override", hvm, "system_firmware");
  const bios = getString(parse, "bios");
  if (bios !== null) {
    const type = enumFromString(biosTypes, bios);
    if (type === undefined) return die(parse, `ERROR: invalid value "${bios}" for "bios"\n`);
    hvm.bios = type;
  } else if (hvm.system_firmware !== null) {
    parse.stderr += "WARNING: bios_path_override given without specific bios name\n";
  }
  for (const key of ["pae", "acpi_s3", "acpi_s4", "acpi_laptop_slate", "nx", "hpet", "vpt_align"] as const) {
    takeDefbool(parse, key, hvm, key);
  }
  takeDefbool(parse, "apic", b_info, "apic");
  const code = runSections(parse, [parseViridian, parseMmioHole, parseGenerationId, parseMcaCaps]);
  if (code !== undefined) return code;
  parseFirmware(parse, hvm);
  return undefined;
};

const viridianWidth = 64;

function parseViridian(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  const list = getList(parse, "viridian", true);
  if (list === null) {
    hvm.viridian = getDefbool(parse, "viridian", true);
    return undefined;
  }
  const enable = new Set<number>();
  const disable = new Set<number>();
  for (const index of list.values.keys()) {
    const item = listItem(list, index) ?? "";
    if (item === "all") for (let bit = 0; bit < viridianWidth; bit++) enable.add(bit);
    else if (item === "defaults") hvm.viridian = true;
    else {
      const name = item.replace(/^!/, "");
      const [set, reset] = name === item ? [enable, disable] : [disable, enable];
      const bit = viridianEnlightenments.findIndex((known) => known === name.toLowerCase());
      if (bit < 0) return die(parse, `xl: unknown viridian enlightenment '${name}'\n`, exitErrorFail);
      set.add(bit);
      reset.delete(bit);
    }
  }
  hvm.viridian_enable = [...enable].sort((a, b) => a - b);
  hvm.viridian_disable = [...disable].sort((a, b) => a - b);
  return undefined;
}

/** Bounds of the hole for MMIO below 4 GiB, in bytes (xen/include/public/hvm/e820.h). */
const mmioHoleMin = 0x10000000n;
const mmioHoleMax = 0xf0000000n;

function parseMmioHole(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  const mebibytes = getLong(parse, "mmio_hole");
  if (!isFailure(mebibytes)) {
    const bytes = BigInt.asUintN(64, mebibytes << 20n);
    if (bytes < mmioHoleMin || bytes > mmioHoleMax) {
      return die(parse, `ERROR: invalid value ${mebibytes} for "mmio_hole"\n`);
    }
    hvm.mmio_hole_memkb = Number(mebibytes) * 1024;
  }
  takeDefbool(parse, "altp2mhvm", hvm, "altp2m");
  if (hvm.altp2m !== null) {
    parse.stderr += 'WARNING: Specifying "altp2mhvm" is deprecated. Please use "altp2m" instead.\n';
  }
  takeString(parse, "smbios_firmware", hvm, "smbios_firmware");
  takeString(parse, "acpi_firmware", hvm, "acpi_firmware");
  return undefined;
}

function parseGenerationId(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  const text = getString(parse, "ms_vm_genid");
  if (text === "generate") hvm.ms_vm_genid = [...parse.environment.newVmGenerationId];
  else if (text !== null && text !== "none") {
    return die(parse, 'ERROR: "ms_vm_genid" option must be "generate" or "none"\n');
  }
  takeMebibytes(parse, "rdm_mem_boundary", hvm, "rdm_mem_boundary_memkb");
  return undefined;
}

/** XEN_HVM_MCA_CAP_LMCE. */
const mcaCapLmce = 1;

function parseMcaCaps(parse: Parse): number | undefined {
  const kind = settingKind(parse, "mca_caps");
  if (kind === "atom") return die(parse, "ERROR: unable to parse mca_caps.\n", exitErrorFail);
  for (const value of getList(parse, "mca_caps", true)?.values ?? []) {
    const name = value.kind === "atom" ? value.text : "";
    if (name !== "lmce") return die(parse, `ERROR: unrecognized MCA capability '${name}'.\n`, exitErrorFail);
    hvmOf(parse).mca_caps = mcaCapLmce;
  }
  return undefined;
}

/** firmware=: a BIOS by name, "uefi" or "bios", or the path of a firmware. */
function parseFirmware(parse: Parse, hvm: HvmInfo): void {
  const firmware = getString(parse, "firmware");
  if (firmware === null) return;
  const bios = enumFromString(biosTypes, firmware);
  if (bios !== undefined) hvm.bios = bios;
  else if ("uefi".startsWith(firmware)) hvm.bios = "ovmf";
  else if (!"bios".startsWith(firmware)) hvm.firmware = firmware;
}

/** Graphics, sound, serial ports, USB: nothing for other guests. */
export const parseHvmDisplay: Section = (parse) => {
  if (parse.domain.c_info.type !== "hvm") return undefined;
  return runSections(parse, [parseVga, parseSpice, parseGfxPassthru, parseEmulated]);
};

const vgaKinds = { stdvga: "std", cirrus: "cirrus", none: "none", qxl: "qxl" } as const;

function parseVga(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  const vga = getString(parse, "vga");
  if (vga !== null) {
    if (!Object.hasOwn(vgaKinds, vga)) return die(parse, `Unknown vga "${vga}" specified\n`);
    hvm.vga.kind = vgaKinds[vga as keyof typeof vgaKinds];
  } else {
    const stdvga = getLong(parse, "stdvga");
    if (!isFailure(stdvga)) hvm.vga.kind = stdvga !== 0n ? "std" : "cirrus";
  }
  const hdtype = getString(parse, "hdtype");
  if (hdtype !== null) {
    const type = enumFromString(hdTypes, hdtype);
    if (type === undefined) return die(parse, `ERROR: invalid value "${hdtype}" for "hdtype"\n`);
    hvm.hdtype = type;
  }
  takeString(parse, "keymap", hvm, "keymap");
  return undefined;
}

function parseSpice(parse: Parse): undefined {
  const { spice } = hvmOf(parse);
  takeDefbool(parse, "spice", spice, "enable");
  takeInt(parse, "spiceport", spice, "port");
  takeInt(parse, "spicetls_port", spice, "tls_port");
  takeString(parse, "spicehost", spice, "host");
  takeDefbool(parse, "spicedisable_ticketing", spice, "disable_ticketing");
  takeString(parse, "spicepasswd", spice, "passwd");
  takeDefbool(parse, "spiceagent_mouse", spice, "agent_mouse");
  takeDefbool(parse, "spicevdagent", spice, "vdagent");
  takeDefbool(parse, "spice_clipboard_sharing", spice, "clipboard_sharing");
  takeInt(parse, "spiceusbredirection", spice, "usbredirection");
  takeString(parse, "spice_image_compression", spice, "image_compression");
  takeString(parse, "spice_streaming_video", spice, "streaming_video");
}

function parseGfxPassthru(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  takeDefbool(parse, "nographic", hvm, "nographic");
  const number = getLong(parse, "gfx_passthru", true);
  if (!isFailure(number)) {
    hvm.gfx_passthru = number !== 0n;
    return undefined;
  }
  const text = getString(parse, "gfx_passthru");
  if (text === null) return undefined;
  const kind = enumFromString(gfxPassthruKinds, text);
  if (kind === undefined) return die(parse, `ERROR: invalid value "${text}" for "gfx_passthru"\n`);
  hvm.gfx_passthru_kind = kind;
  hvm.gfx_passthru = true;
  return undefined;
}

function parseEmulated(parse: Parse): number | undefined {
  const hvm = hvmOf(parse);
  if (takeStringList(parse, "serial", hvm, "serial_list") === "atom")
    takeString(parse, "serial", hvm, "serial");
  takeString(parse, "boot", hvm, "boot");
  takeDefbool(parse, "usb", hvm, "usb");
  takeInt(parse, "usbversion", hvm, "usbversion");
  if (takeStringList(parse, "usbdevice", hvm, "usbdevice_list") === "atom") {
    takeString(parse, "usbdevice", hvm, "usbdevice");
  }
  takeDefbool(parse, "vkb_device", hvm, "vkb_device");
  takeString(parse, "soundhw", hvm, "soundhw");
  takeDefbool(parse, "xen_platform_pci", hvm, "xen_platform_pci");
  if (hvm.vnc.listen?.includes(":") && hvm.vnc.display !== 0) {
    return die(parse, "ERROR: Display specified both in vnclisten and vncdisplay!\n");
  }
  const vendor = getString(parse, "vendor_device");
  if (vendor === null) return undefined;
  const device = enumFromString(vendorDevices, vendor);
  if (device === undefined) return die(parse, `xl: unknown vendor_device '${vendor}'\n`, exitErrorFail);
  hvm.vendor_device = device;
  return undefined;
}
