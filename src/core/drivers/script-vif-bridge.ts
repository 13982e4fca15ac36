// SPDX-License-Identifier: Apache-2.0
//
// /etc/xen/scripts/vif-bridge: puts a vif on a bridge and gives the frontend the
// bridge's MTU (tools/hotplug/Linux/vif-bridge, vif-common.sh, xen-network-common.sh).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import {
  addToBridge,
  bridgeCell,
  firstBridge,
  netDeviceCell,
  ofDomain,
  removeFromBridge,
} from "./backend-devices.ts";
import { fatal, findCommand, success } from "./script.ts";
import type { ScriptArgs } from "./script.ts";
import { xenstoreRead, xenstoreWrite } from "./xenstore-tools.ts";

interface VifLocals {
  process: string;
  domid: number;
  xenbusPath: string;
  command: string;
  dev: string;
  bridge: string | null;
  mtu: string | null;
  error: string | null;
}

/** Takes the bridge the device asks for, or the first there is (script's prologue). */
function findBridge(host: Host, l: VifLocals): void {
  l.bridge = l.bridge === null || l.bridge === "" ? firstBridge(host, l.domid) : l.bridge;
  if (l.bridge === null) l.error = "Could not find bridge, and none was specified";
  else if (host.get(bridgeCell, ofDomain(l.domid, l.bridge)) === undefined)
    l.error = `Could not find bridge device ${l.bridge}`;
}

function joinBridge(host: Host, l: VifLocals): void {
  const mtu = Number(l.mtu);
  const device = ofDomain(l.domid, l.dev);
  if (mtu > 0 && host.get(netDeviceCell, device) !== undefined) host.edit(netDeviceCell, device).mtu = mtu;
  addToBridge(host, l.domid, l.bridge as string, l.dev);
}

/** The frontend of `vifD.N`. */
function frontendPath(dev: string): string {
  const [domid, devid] = dev.slice(3).split(".");
  return `/local/domain/${domid}/device/vif/${devid}`;
}

/** The script; its exit status. */
export const vifBridgeScript = routine(
  "vif-bridge",
  ({ process, domid, args, env }: ScriptArgs): VifLocals => ({
    process,
    domid,
    xenbusPath: env["XENBUS_PATH"] ?? "",
    command: findCommand(args),
    dev: env["vif"] ?? "",
    bridge: null,
    mtu: null,
    error: null,
  }),
  ({ step, call, when }) => [
    call("vifname", xenstoreRead, (l) => ({ process: l.process, path: `${l.xenbusPath}/vifname` })),
    call("ip", xenstoreRead, (l) => ({ process: l.process, path: `${l.xenbusPath}/ip` })),
    call(
      "bridge",
      xenstoreRead,
      (l) => ({ process: l.process, path: `${l.xenbusPath}/bridge` }),
      (l, bridge) => {
        l.bridge = bridge;
      },
    ),
    step("ip link show dev $bridge", findBridge),
    when("no bridge", (l) => l.error !== null, [
      call("fatal", fatal, (l) => ({
        process: l.process,
        xenbusPath: l.xenbusPath,
        message: l.error ?? "",
        status: "error" as const,
      })),
    ]),
    when("online", (l) => l.error === null && l.command === "online", [
      call(
        "mtu",
        xenstoreRead,
        (l) => ({ process: l.process, path: `${l.xenbusPath}/mtu` }),
        (l, mtu) => {
          l.mtu = mtu;
        },
      ),
      step("set_mtu", (host, l) => {
        l.mtu ??= String(host.get(bridgeCell, ofDomain(l.domid, l.bridge as string))?.mtu ?? "");
        joinBridge(host, l);
      }),
      when("has an MTU", (l) => Number(l.mtu) > 0, [
        call("write mtu", xenstoreWrite, (l) => ({
          process: l.process,
          entries: [[`${frontendPath(l.dev)}/mtu`, l.mtu ?? ""]] as const,
        })),
      ]),
      call("success", success, (l) => ({ process: l.process, xenbusPath: l.xenbusPath })),
    ]),
    when("offline", (l) => l.error === null && l.command === "offline", [
      step("remove_from_bridge", (host, l) => removeFromBridge(host, l.domid, l.bridge as string, l.dev)),
    ]),
  ],
  (l) => (l.error === null ? 0 : 1),
);
