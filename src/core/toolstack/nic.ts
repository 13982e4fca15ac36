// SPDX-License-Identifier: Apache-2.0
//
// Virtual network interfaces in xenstore (tools/libs/light/libxl_nic.c).

import type { Entries } from "./device-entries.ts";
import type { NewDevice } from "./device-add.ts";
import { scriptPath } from "./disk.ts";
import type { DeviceNic } from "./xlcfg/domain-config.ts";
import { coloNicKeys } from "./xlcfg/device-nic.ts";

const DEFAULT_MTU = 1500;

/**
 * Settles what an interface's specification leaves open
 * (libxl__device_nic_setdefault).
 *
 * @param hvm a fully virtualised guest gets an emulated interface beside it
 * @param newMac the address of an interface that names none, in Xen's range
 */
export function nicSetDefault(nic: DeviceNic, hvm: boolean, newMac: string): DeviceNic {
  return {
    ...nic,
    mtu: nic.mtu === 0 ? DEFAULT_MTU : nic.mtu,
    model: nic.model ?? "rtl8139",
    mac: nic.mac ?? newMac,
    bridge: nic.bridge ?? "xenbr0",
    script: scriptPath(nic.script ?? "vif-bridge"),
    trusted: nic.trusted ?? true,
    nictype: nic.nictype === "unknown" ? (hvm ? "vif_ioemu" : "vif") : nic.nictype,
  };
}

/** Gives interfaces without a number the lowest ones that are free (libxl__device_nic_set_devids). */
export function nicSetDevids(nics: readonly DeviceNic[], taken: readonly number[] = []): DeviceNic[] {
  const used = new Set([...taken, ...nics.map((nic) => nic.devid).filter((devid) => devid >= 0)]);
  let next = used.size === 0 ? 0 : Math.max(...used) + 1;
  return nics.map((nic) => (nic.devid >= 0 ? nic : { ...nic, devid: next++ }));
}

const given = (name: string, value: string | null): Entries => (value === null ? [] : [[name, value]]);

function rateEntry({ rate_bytes_per_interval: bytes, rate_interval_usecs: usecs }: DeviceNic): Entries {
  return usecs > 0 ? [["rate", `${bytes},${usecs}`]] : [];
}

/** What is written for an interface whose defaults are set (libxl__set_xenstore_nic). */
export function newNic(domid: number, nic: DeviceNic): NewDevice {
  return {
    device: { domid, devid: nic.devid, kind: "vif", backendDomid: nic.backend_domid, backendKind: "vif" },
    entries: {
      backend: [
        ["frontend-id", String(domid)],
        ["online", "1"],
        ["state", "1"],
        ...given("script", nic.script),
        ...given("vifname", nic.ifname),
        ...given("forwarddev", nic.coloft_forwarddev),
        ...coloNicKeys.flatMap((key) => given(key, nic[key])),
        ["mac", nic.mac as string],
        ...given("ip", nic.ip),
        ...rateEntry(nic),
        ...given("bridge", nic.bridge),
        ["handle", String(nic.devid)],
        ["type", nic.nictype],
        ["hotplug-status", ""],
      ],
      frontend: [
        ["backend-id", String(nic.backend_domid)],
        ["state", "1"],
        ["handle", String(nic.devid)],
        ["mac", nic.mac as string],
        ["trusted", nic.trusted === true ? "1" : "0"],
      ],
      readOnly: [["mtu", String(nic.mtu)]],
    },
  };
}
