// SPDX-License-Identifier: Apache-2.0
//
// libxl_device_nic (libxl_types.idl): a virtual network interface.

import { defbool, enumeration, integer, string, struct, type ValueOf } from "./idl.ts";

export const nicTypes = ["unknown", "vif_ioemu", "vif"] as const;

/** The COLO replication settings, each a string with a vif key of the same name. */
export const coloNicKeys = [
  "colo_sock_mirror_id",
  "colo_sock_mirror_ip",
  "colo_sock_mirror_port",
  "colo_sock_compare_pri_in_id",
  "colo_sock_compare_pri_in_ip",
  "colo_sock_compare_pri_in_port",
  "colo_sock_compare_sec_in_id",
  "colo_sock_compare_sec_in_ip",
  "colo_sock_compare_sec_in_port",
  "colo_sock_compare_notify_id",
  "colo_sock_compare_notify_ip",
  "colo_sock_compare_notify_port",
  "colo_sock_redirector0_id",
  "colo_sock_redirector0_ip",
  "colo_sock_redirector0_port",
  "colo_sock_redirector1_id",
  "colo_sock_redirector1_ip",
  "colo_sock_redirector1_port",
  "colo_sock_redirector2_id",
  "colo_sock_redirector2_ip",
  "colo_sock_redirector2_port",
  "colo_filter_mirror_queue",
  "colo_filter_mirror_outdev",
  "colo_filter_redirector0_queue",
  "colo_filter_redirector0_indev",
  "colo_filter_redirector0_outdev",
  "colo_filter_redirector1_queue",
  "colo_filter_redirector1_indev",
  "colo_filter_redirector1_outdev",
  "colo_compare_pri_in",
  "colo_compare_sec_in",
  "colo_compare_out",
  "colo_compare_notify_dev",
  "colo_sock_sec_redirector0_id",
  "colo_sock_sec_redirector0_ip",
  "colo_sock_sec_redirector0_port",
  "colo_sock_sec_redirector1_id",
  "colo_sock_sec_redirector1_ip",
  "colo_sock_sec_redirector1_port",
  "colo_filter_sec_redirector0_queue",
  "colo_filter_sec_redirector0_indev",
  "colo_filter_sec_redirector0_outdev",
  "colo_filter_sec_redirector1_queue",
  "colo_filter_sec_redirector1_indev",
  "colo_filter_sec_redirector1_outdev",
  "colo_filter_sec_rewriter0_queue",
  "colo_checkpoint_host",
  "colo_checkpoint_port",
] as const;

const coloFields = Object.fromEntries(coloNicKeys.map((key) => [key, string])) as Record<
  (typeof coloNicKeys)[number],
  typeof string
>;

/** libxl_device_nic. */
export const deviceNic = struct({
  backend_domid: integer(),
  backend_domname: string,
  devid: integer(-1),
  mtu: integer(),
  model: string,
  mac: string,
  ip: string,
  bridge: string,
  ifname: string,
  script: string,
  nictype: enumeration(nicTypes, "unknown"),
  rate_bytes_per_interval: integer(),
  rate_interval_usecs: integer(),
  gatewaydev: string,
  coloft_forwarddev: string,
  ...coloFields,
  trusted: defbool,
});
export type DeviceNic = ValueOf<typeof deviceNic>;
