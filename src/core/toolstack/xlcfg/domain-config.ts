// SPDX-License-Identifier: Apache-2.0
//
// libxl_domain_config of Xen 4.17 (tools/libs/light/libxl_types.idl): what
// xl.cfg is parsed into, what `xl list -l` prints and what a save file carries.
// Field names, their order and their defaults are libxl's.

import {
  alwaysPrinted,
  array,
  bitmap,
  bool,
  defbool,
  enumeration,
  integer,
  keyedUnion,
  optionalInteger,
  string,
  stringList,
  struct,
  type ValueOf,
} from "./idl.ts";
import { deviceNic } from "./device-nic.ts";
import { deviceVsnd } from "./device-vsnd.ts";
import { hvmInfo, rdmReservePolicies, sdlInfo, vncInfo } from "./hvm-info.ts";

/** Guest types by libxl's names. */
export const domainTypes = ["invalid", "hvm", "pv", "pvh"] as const;
/** Actions on_poweroff, on_reboot, … can name, as JSON spells them. */
export const actionsOnShutdown = [
  "destroy",
  "restart",
  "restart_rename",
  "preserve",
  "coredump_destroy",
  "coredump_restart",
  "soft_reset",
] as const;
export type ActionOnShutdown = (typeof actionsOnShutdown)[number];

export const passthroughs = ["default", "disabled", "enabled", "sync_pt", "share_pt"] as const;
export const tscModes = ["default", "always_emulate", "native", "native_paravirt"] as const;
export const timerModes = [
  "unknown",
  "delay_for_missed_ticks",
  "no_delay_for_missed_ticks",
  "no_missed_ticks_pending",
  "one_missed_tick_pending",
] as const;
export const schedulers = ["unknown", "sedf", "credit", "credit2", "arinc653", "rtds", "null"] as const;
export const deviceModelVersions = ["unknown", "qemu_xen_traditional", "qemu_xen"] as const;
export const altp2mModes = ["disabled", "mixed", "external", "limited"] as const;
export const gicVersions = ["default", "v2", "v3"] as const;
export const vuartTypes = ["unknown", "sbsa_uart"] as const;
export const teeTypes = ["none", "optee"] as const;
export const diskFormats = ["unknown", "qcow", "qcow2", "vhd", "raw", "empty", "qed"] as const;
export const diskBackends = ["unknown", "phy", "tap", "qdisk", "standalone"] as const;
export const diskSpecifications = ["unknown", "xen", "virtio"] as const;
export const vkbBackends = ["unknown", "qemu", "linux"] as const;
export const usbctrlTypes = ["auto", "pv", "devicemodel", "qusb"] as const;

const createInfo = struct({
  type: enumeration(domainTypes, "invalid"),
  hap: defbool,
  oos: defbool,
  ssidref: integer(),
  ssid_label: string,
  name: string,
  domid: integer(),
  uuid: string,
  poolid: integer(),
  pool_name: string,
  run_hotplug_scripts: defbool,
  driver_domain: defbool,
  passthrough: enumeration(passthroughs, "default"),
  xend_suspend_evtchn_compat: defbool,
});

const schedParams = struct({
  sched: enumeration(schedulers, "unknown"),
  weight: integer(-1),
  cap: integer(-1),
  period: integer(-1),
  budget: integer(-1),
  extratime: integer(-1),
  slice: integer(-1),
  latency: integer(-1),
});

const vnodeInfo = struct({
  memkb: optionalInteger,
  distances: array(integer(-1)),
  pnode: integer(),
  vcpus: bitmap,
});

const pvInfo = struct({ slack_memkb: optionalInteger, e820_host: defbool });

const pvhInfo = struct({
  pvshim: defbool,
  pvshim_path: string,
  pvshim_cmdline: string,
  pvshim_extra: string,
});

/** The part of b_info that depends on the guest's type. */
export const buildInfoUnion = keyedUnion(
  "type",
  { hvm: hvmInfo, pv: pvInfo, pvh: pvhInfo, invalid: struct({}) },
  "invalid",
);

const cpuidLeaf = struct({
  leaf: integer(-1),
  subleaf: optionalInteger,
  eax: string,
  ebx: string,
  ecx: string,
  edx: string,
});

/** CPUID and MSR policies; a policy is one character a bit, the highest first. */
const cpuidPolicyStruct = struct({
  cpuid: alwaysPrinted(array(cpuidLeaf)),
  msr: alwaysPrinted(array(struct({ index: integer(), policy: string }))),
});
const cpuidPolicy: typeof cpuidPolicyStruct = {
  ...cpuidPolicyStruct,
  isDefault: ({ cpuid, msr }) => cpuid.length === 0 && msr.length === 0,
};

const buildInfo = struct({
  max_vcpus: integer(),
  avail_vcpus: bitmap,
  cpumap: bitmap,
  nodemap: bitmap,
  vcpu_hard_affinity: array(bitmap),
  vcpu_soft_affinity: array(bitmap),
  numa_placement: defbool,
  tsc_mode: enumeration(tscModes, "default"),
  max_memkb: optionalInteger,
  target_memkb: optionalInteger,
  video_memkb: optionalInteger,
  shadow_memkb: optionalInteger,
  iommu_memkb: optionalInteger,
  rtc_timeoffset: integer(),
  exec_ssidref: integer(),
  exec_ssid_label: string,
  localtime: defbool,
  disable_migrate: defbool,
  cpuid: cpuidPolicy,
  blkdev_start: string,
  vnuma_nodes: array(vnodeInfo),
  max_grant_frames: optionalInteger,
  max_maptrack_frames: optionalInteger,
  max_grant_version: optionalInteger,
  device_model_version: enumeration(deviceModelVersions, "unknown"),
  device_model_stubdomain: defbool,
  stubdomain_memkb: optionalInteger,
  stubdomain_kernel: string,
  stubdomain_cmdline: string,
  stubdomain_ramdisk: string,
  device_model: string,
  device_model_ssidref: integer(),
  device_model_ssid_label: string,
  device_model_user: string,
  extra: stringList,
  extra_pv: stringList,
  extra_hvm: stringList,
  sched_params: schedParams,
  ioports: array(struct({ first: integer(), number: integer() })),
  irqs: array(integer()),
  iomem: array(struct({ start: integer(), number: integer(), gfn: optionalInteger })),
  claim_mode: defbool,
  event_channels: integer(),
  kernel: string,
  cmdline: string,
  ramdisk: string,
  device_tree: string,
  acpi: defbool,
  bootloader: string,
  bootloader_args: stringList,
  timer_mode: enumeration(timerModes, "unknown"),
  nested_hvm: defbool,
  apic: defbool,
  dm_restrict: defbool,
  tee: enumeration(teeTypes, "none"),
  u: buildInfoUnion,
  arch_arm: struct({
    gic_version: enumeration(gicVersions, "default"),
    vuart: enumeration(vuartTypes, "unknown"),
  }),
  arch_x86: struct({ msr_relaxed: defbool }),
  altp2m: enumeration(altp2mModes, "disabled"),
  vmtrace_buf_kb: integer(),
  vpmu: defbool,
});

/** libxl_device_disk. */
export const deviceDisk = struct({
  backend_domid: integer(),
  backend_domname: string,
  pdev_path: string,
  vdev: string,
  backend: enumeration(diskBackends, "unknown"),
  format: enumeration(diskFormats, "unknown"),
  script: string,
  removable: integer(),
  readwrite: integer(),
  is_cdrom: integer(),
  direct_io_safe: bool,
  discard_enable: defbool,
  specification: enumeration(diskSpecifications, "unknown"),
  transport: enumeration(["unknown", "mmio"], "unknown"),
  irq: integer(),
  base: integer(),
  colo_enable: defbool,
  colo_restore_enable: defbool,
  colo_host: string,
  colo_port: integer(),
  colo_export: string,
  active_disk: string,
  hidden_disk: string,
  trusted: defbool,
});
export type DeviceDisk = ValueOf<typeof deviceDisk>;

/** libxl_device_pci. */
export const devicePci = struct({
  func: integer(),
  dev: integer(),
  bus: integer(),
  domain: integer(),
  vdevfn: integer(),
  vfunc_mask: integer(),
  msitranslate: bool,
  power_mgmt: bool,
  permissive: bool,
  seize: bool,
  rdm_policy: enumeration(rdmReservePolicies, "invalid"),
  name: string,
});
export type DevicePci = ValueOf<typeof devicePci>;

const backendFields = { backend_domid: integer(), backend_domname: string };

/** libxl_device_vfb. */
export const deviceVfb = struct({
  ...backendFields,
  devid: integer(-1),
  vnc: vncInfo,
  sdl: sdlInfo,
  keymap: string,
});
export type DeviceVfb = ValueOf<typeof deviceVfb>;

/** libxl_device_vkb. */
export const deviceVkb = struct({
  ...backendFields,
  devid: integer(-1),
  backend_type: enumeration(vkbBackends, "unknown"),
  unique_id: string,
  feature_disable_keyboard: bool,
  feature_disable_pointer: bool,
  feature_abs_pointer: bool,
  feature_raw_pointer: bool,
  feature_multi_touch: bool,
  width: integer(),
  height: integer(),
  multi_touch_width: integer(),
  multi_touch_height: integer(),
  multi_touch_num_contacts: integer(),
});
export type DeviceVkb = ValueOf<typeof deviceVkb>;

/** libxl_device_vtpm. */
export const deviceVtpm = struct({ ...backendFields, devid: integer(-1), uuid: string });

/** libxl_device_p9. */
export const deviceP9 = struct({
  ...backendFields,
  tag: string,
  path: string,
  security_model: string,
  devid: integer(-1),
});

/** libxl_device_vdispl. */
export const deviceVdispl = struct({
  ...backendFields,
  devid: integer(-1),
  be_alloc: bool,
  connectors: array(struct({ unique_id: string, width: integer(), height: integer() })),
});
export type DeviceVdispl = ValueOf<typeof deviceVdispl>;

/** libxl_device_channel. */
export const deviceChannel = struct({
  ...backendFields,
  devid: integer(-1),
  name: string,
  u: keyedUnion(
    "connection",
    { unknown: struct({}), pty: struct({}), socket: struct({ path: string }) },
    "unknown",
  ),
});

/** libxl_device_usbctrl. */
export const deviceUsbctrl = struct({
  type: enumeration(usbctrlTypes, "auto"),
  devid: integer(-1),
  version: integer(),
  ports: integer(),
  ...backendFields,
});
export type DeviceUsbctrl = ValueOf<typeof deviceUsbctrl>;

const hostdev = struct({ hostbus: integer(), hostaddr: integer() });

/** libxl_device_usbdev. */
export const deviceUsbdev = struct({
  ctrl: integer(-1),
  port: integer(),
  u: keyedUnion("type", { unset: hostdev, hostdev }, "unset"),
});
export type DeviceUsbdev = ValueOf<typeof deviceUsbdev>;

const onShutdown = enumeration(actionsOnShutdown, "destroy");

/** libxl_domain_config. */
export const domainConfig = struct({
  c_info: createInfo,
  b_info: buildInfo,
  disks: array(deviceDisk),
  nics: array(deviceNic),
  pcidevs: array(devicePci),
  dtdevs: array(struct({ path: string })),
  vfbs: array(deviceVfb),
  vkbs: array(deviceVkb),
  vtpms: array(deviceVtpm),
  p9s: array(deviceP9),
  pvcallsifs: array(struct({ ...backendFields, devid: integer(-1) })),
  vdispls: array(deviceVdispl),
  vsnds: array(deviceVsnd),
  channels: array(deviceChannel),
  usbctrls: array(deviceUsbctrl),
  usbdevs: array(deviceUsbdev),
  on_poweroff: onShutdown,
  on_reboot: onShutdown,
  on_watchdog: onShutdown,
  on_crash: onShutdown,
  on_soft_reset: onShutdown,
});
/** What a domain is made from; plain data. */
export type DomainConfig = ValueOf<typeof domainConfig>;
export type DomainCreateInfo = DomainConfig["c_info"];
export type DomainBuildInfo = DomainConfig["b_info"];
export type { DeviceNic } from "./device-nic.ts";
