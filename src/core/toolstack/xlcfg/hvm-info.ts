// SPDX-License-Identifier: Apache-2.0
//
// What libxl_domain_build_info has for HVM guests only (libxl_types.idl):
// firmware, Viridian and the devices QEMU emulates.

import {
  array,
  bitmap,
  defbool,
  enumeration,
  integer,
  optionalInteger,
  string,
  stringList,
  struct,
} from "./idl.ts";

export const biosTypes = ["unknown", "rombios", "seabios", "ovmf"] as const;
export const gfxPassthruKinds = ["default", "igd"] as const;
export const hdTypes = ["ide", "ahci"] as const;
export const vgaInterfaceTypes = ["unknown", "cirrus", "std", "none", "qxl"] as const;
export const vendorDevices = ["none", "xenserver"] as const;
export const rdmReserveStrategies = ["ignore", "host"] as const;
export const rdmReservePolicies = ["invalid", "strict", "relaxed"] as const;
export const viridianEnlightenments = [
  "base",
  "freq",
  "time_ref_count",
  "reference_tsc",
  "hcall_remote_tlb_flush",
  "apic_assist",
  "crash_ctl",
  "synic",
  "stimer",
  "hcall_ipi",
  "ex_processor_masks",
  "no_vp_limit",
  "cpu_hotplug",
] as const;

/** libxl_vnc_info. */
export const vncInfo = struct({
  enable: defbool,
  listen: string,
  passwd: string,
  display: integer(),
  findunused: defbool,
});

/** libxl_sdl_info. */
export const sdlInfo = struct({ enable: defbool, opengl: defbool, display: string, xauthority: string });

const spiceInfo = struct({
  enable: defbool,
  port: integer(),
  tls_port: integer(),
  host: string,
  disable_ticketing: defbool,
  passwd: string,
  agent_mouse: defbool,
  vdagent: defbool,
  clipboard_sharing: defbool,
  usbredirection: integer(),
  image_compression: string,
  streaming_video: string,
});

/** The HVM member of libxl_domain_build_info's union. */
export const hvmInfo = struct({
  firmware: string,
  bios: enumeration(biosTypes, "unknown"),
  pae: defbool,
  acpi: defbool,
  acpi_s3: defbool,
  acpi_s4: defbool,
  acpi_laptop_slate: defbool,
  nx: defbool,
  viridian: defbool,
  viridian_enable: bitmap,
  viridian_disable: bitmap,
  timeoffset: string,
  hpet: defbool,
  vpt_align: defbool,
  mmio_hole_memkb: optionalInteger,
  altp2m: defbool,
  system_firmware: string,
  smbios_firmware: string,
  acpi_firmware: string,
  hdtype: enumeration(hdTypes, "ide"),
  nographic: defbool,
  vga: struct({ kind: enumeration(vgaInterfaceTypes, "unknown") }),
  vnc: vncInfo,
  keymap: string,
  sdl: sdlInfo,
  spice: spiceInfo,
  gfx_passthru: defbool,
  gfx_passthru_kind: enumeration(gfxPassthruKinds, "default"),
  serial: string,
  boot: string,
  usb: defbool,
  usbversion: integer(),
  usbdevice: string,
  vkb_device: defbool,
  soundhw: string,
  xen_platform_pci: defbool,
  usbdevice_list: stringList,
  vendor_device: enumeration(vendorDevices, "none"),
  ms_vm_genid: array(integer(-1)),
  serial_list: stringList,
  rdm: struct({
    strategy: enumeration(rdmReserveStrategies, "ignore"),
    policy: enumeration(rdmReservePolicies, "invalid"),
  }),
  rdm_mem_boundary_memkb: optionalInteger,
  mca_caps: integer(),
});
