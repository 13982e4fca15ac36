// SPDX-License-Identifier: Apache-2.0
//
// blkfront: a guest's disk, from its device to its connection and back (Linux
// drivers/block/xen-blkfront.c).

import { must } from "../engine/cells.ts";
import { errnoNumber, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { allocUnbound, close } from "../hypervisor/event-channel-op.ts";
import { domainCell } from "../hypervisor/domain.ts";
import { evtchnPort } from "../hypervisor/port.ts";
import { deviceOf, sameDevice, xenbusDriver } from "../xenbus/device.ts";
import type { DeviceArgs } from "../xenbus/device.ts";
import { xenbusFrontendClosed } from "../xenbus/otherend.ts";
import { XenbusState } from "../xenbus/state.ts";
import { failFatally, xenbusDevFatal, xenbusSwitchState } from "../xenbus/switch-state.ts";
import { xenbusWriteEntries } from "../xenbus/write-entries.ts";
import type { Entry } from "../xenbus/write-entries.ts";
import { xenbusRead, xenbusReadOptional, xenbusReadUnsigned } from "../xenbus/xs.ts";
import { blkfrontCell, blkfrontRingCell } from "./blkfront-cells.ts";
import { blkfrontRead } from "./blkfront-io.ts";
import { onlineCpus } from "./cpus.ts";
import { endForeignAccess, setupRing } from "./gnttab.ts";

const XVD_MAJOR = 202;
/** What xenbus_setup_ring says where a ring cannot have what it is made of. */
const SETUP_RING = "granting access to 1 ring pages";

/** The name of a virtual device: xvda is 202:0, with 16 minors each. */
export function vdeviceName(vdevice: number): string {
  const disk = vdevice >> 8 === XVD_MAJOR ? (vdevice & 0xff) >> 4 : 0;
  const partition = vdevice & 0xf;
  return `xvd${String.fromCharCode(97 + disk)}${partition === 0 ? "" : partition}`;
}

function setupBlkring(host: Host, domid: number, device: string, at: number, to: number): void | Failure {
  const ring = setupRing(host, domid, to);
  if (isFailure(ring)) return ring;
  const made = allocUnbound(host, { domid, process: "kernel" }, { domid, remoteDomid: to });
  if (isFailure(made)) {
    endForeignAccess(host, domid, [ring]);
    return made;
  }
  host.add(blkfrontRingCell, `${device}/${at}`, {
    ring,
    port: made.port,
    reqProd: 0,
    rspCons: 0,
    persistent: [],
    requests: [],
  });
  host.edit(blkfrontCell, device).rings = at + 1;
}

/** Takes the rings apart: pages the backend still has mapped stay until it has not (blkif_free). */
function blkifFree(host: Host, domid: number, device: string): void {
  const { rings } = must(host, blkfrontCell, device);
  for (let at = 0; at < rings; at++) {
    const { ring, port, persistent, requests } = must(host, blkfrontRingCell, `${device}/${at}`);
    endForeignAccess(host, domid, [...persistent, ...requests.flatMap(({ pages }) => pages), ring]);
    if (evtchnPort(host, domid, port) !== undefined) close(host, { domid, process: "kernel" }, { port });
    host.drop(blkfrontRingCell, `${device}/${at}`);
  }
  Object.assign(host.edit(blkfrontCell, device), { rings: 0, connected: false });
}

/** What the backend is told: one queue's nodes lie beside the device's own, those of several in a directory each. */
function ringEntries(host: Host, device: string, rings: number): Entry[] {
  const entries: Entry[] = rings > 1 ? [["multi-queue-num-queues", String(rings)]] : [];
  for (let at = 0; at < rings; at++) {
    const { ring, port } = must(host, blkfrontRingCell, `${device}/${at}`);
    const dir = rings === 1 ? "" : `queue-${at}/`;
    entries.push([`${dir}ring-ref`, String(ring.ref)], [`${dir}event-channel`, String(port)]);
  }
  return [...entries, ["protocol", "x86_64-abi"], ["feature-persistent", "1"]];
}

interface TalkLocals extends DeviceArgs {
  nodename: string;
  otherend: string;
  maxQueues: number;
  entries: Entry[];
  errno: Errno | null;
}

/** Sets the rings up, tells the backend of them, and shows Initialised. */
const talkToBlkback = routine(
  "talk_to_blkback",
  (a: DeviceArgs): TalkLocals => ({
    ...a,
    nodename: "",
    otherend: "",
    maxQueues: 1,
    entries: [],
    errno: null,
  }),
  ({ step, call, attempt, failWith }) => [
    step("info", (host, l) => {
      const { nodename, otherend } = deviceOf(host, l.device);
      l.nodename = nodename;
      l.otherend = otherend ?? "";
    }),
    call("trusted", xenbusReadUnsigned, (l) => ({
      domid: l.domid,
      dir: l.nodename,
      name: "trusted",
      otherwise: 1,
    })),
    call("max-ring-page-order", xenbusReadUnsigned, (l) => ({
      domid: l.domid,
      dir: l.otherend,
      name: "max-ring-page-order",
      otherwise: 0,
    })),
    call(
      "negotiate_mq",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "multi-queue-max-queues", otherwise: 1 }),
      (l, value) => {
        l.maxQueues = value;
      },
    ),
    attempt([
      step("setup_blkring", (host, l) => {
        blkifFree(host, l.domid, l.device);
        const { otherendId } = deviceOf(host, l.device);
        const rings = Math.max(1, Math.min(l.maxQueues, onlineCpus(host, l.domid)));
        for (let at = 0; at < rings; at++) {
          const failed = setupBlkring(host, l.domid, l.device, at, otherendId);
          if (failed !== undefined) return failed;
        }
        l.entries = ringEntries(host, l.device, rings);
        return undefined;
      }),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      failFatally({ call, failWith }, ["xenbus_dev_fatal ring", "ring"], () => SETUP_RING),
    ),
    call("write_per_ring_nodes", xenbusWriteEntries, (l) => ({
      ...sameDevice(l),
      dir: l.nodename,
      entries: l.entries,
    })),
    call("xenbus_switch_state", xenbusSwitchState, (l) => ({
      ...sameDevice(l),
      state: XenbusState.Initialised,
    })),
  ],
);

/** Features of the backend, in the order in which they are looked for, without those of discarding. */
const backendFeatures = ["feature-barrier", "feature-flush-cache", "feature-discard"];
const discardFeatures = ["discard-granularity", "discard-alignment", "discard-secure"];

interface ConnectLocals extends DeviceArgs {
  otherend: string;
  wasConnected: boolean;
  feature: string;
  sectors: string;
  discard: boolean;
  persistent: number;
}

/** The backend is connected: the disk's data is read and the disk shown to user space, which looks for partitions. */
const blkfrontConnect = routine(
  "blkfront_connect",
  (a: DeviceArgs): ConnectLocals => ({
    ...a,
    otherend: "",
    wasConnected: false,
    feature: "",
    sectors: "0",
    discard: false,
    persistent: 0,
  }),
  ({ step, call, each, when, attempt }) => [
    step("info->connected", (host, l) => {
      l.wasConnected = must(host, blkfrontCell, l.device).connected;
      l.otherend = deviceOf(host, l.device).otherend ?? "";
    }),
    call(
      "sectors",
      xenbusRead,
      (l) => ({ domid: l.domid, dir: l.otherend, name: "sectors" }),
      (l, sectors) => {
        l.sectors = sectors;
      },
    ),
    when("new", (l) => !l.wasConnected, [
      call("info", xenbusRead, (l) => ({ domid: l.domid, dir: l.otherend, name: "info" })),
      call("sector-size", xenbusRead, (l) => ({ domid: l.domid, dir: l.otherend, name: "sector-size" })),
      call("physical-sector-size", xenbusReadUnsigned, (l) => ({
        domid: l.domid,
        dir: l.otherend,
        name: "physical-sector-size",
        otherwise: 512,
      })),
      each(
        "blkfront_gather_backend_features",
        () => backendFeatures,
        (l, feature) => {
          l.feature = feature;
        },
        [
          call(
            "feature",
            xenbusReadUnsigned,
            (l) => ({ domid: l.domid, dir: l.otherend, name: l.feature, otherwise: 0 }),
            (l, value) => {
              l.discard = l.feature === "feature-discard" && value !== 0;
            },
          ),
        ],
      ),
      when("discards", (l) => l.discard, [
        each(
          "blkfront_setup_discard",
          () => discardFeatures,
          (l, feature) => {
            l.feature = feature;
          },
          [
            call("discard", xenbusReadUnsigned, (l) => ({
              domid: l.domid,
              dir: l.otherend,
              name: l.feature,
              otherwise: 0,
            })),
          ],
        ),
      ]),
      call(
        "feature-persistent",
        xenbusReadUnsigned,
        (l) => ({ domid: l.domid, dir: l.otherend, name: "feature-persistent", otherwise: 0 }),
        (l, value) => {
          l.persistent = value;
        },
      ),
      call("feature-max-indirect-segments", xenbusReadUnsigned, (l) => ({
        domid: l.domid,
        dir: l.otherend,
        name: "feature-max-indirect-segments",
        otherwise: 0,
      })),
    ]),
    step("set_capacity", (host, l) => {
      const blkfront = host.edit(blkfrontCell, l.device);
      blkfront.sectors = Number.parseInt(l.sectors, 10);
      if (l.wasConnected) return;
      blkfront.persistent = l.persistent !== 0;
      blkfront.connected = true;
    }),
    when("not yet shown", (l) => !l.wasConnected, [
      call("xenbus_switch_state", xenbusSwitchState, (l) => ({
        ...sameDevice(l),
        state: XenbusState.Connected,
      })),
      attempt([
        call("device_add_disk", blkfrontRead, (l) => ({ domid: l.domid, device: l.device, pages: 1 })),
      ]).onError(() => {}, []),
    ]),
  ],
);

/** The backend shows another state. */
const blkbackChanged = routine(
  "blkback_changed [xen_blkfront]",
  (a: DeviceArgs & { state: number }) => ({
    ...a,
    ours: 0,
    otherend: "",
    errno: null as Errno | null,
  }),
  ({ step, when, call, attempt }) => [
    step("dev->state", (host, l) => {
      const { state, otherend } = deviceOf(host, l.device);
      l.ours = state;
      l.otherend = otherend ?? "";
    }),
    attempt([
      when("InitWait", (l) => l.state === XenbusState.InitWait && l.ours === XenbusState.Initialising, [
        call("talk_to_blkback", talkToBlkback, sameDevice),
      ]),
      when("Connected", (l) => l.state === XenbusState.Connected, [
        when("out of step", (l) => l.ours !== XenbusState.Initialised && l.ours !== XenbusState.Connected, [
          call("talk_to_blkback again", talkToBlkback, sameDevice),
        ]),
        attempt([call("blkfront_connect", blkfrontConnect, sameDevice)]).onError(
          (l, errno) => void (l.errno = errno),
          [
            call("xenbus_dev_fatal", xenbusDevFatal, (l) => ({
              ...sameDevice(l),
              err: errnoNumber(present(l.errno)),
              message: `reading backend fields at ${l.otherend}`,
            })),
          ],
        ),
      ]),
      // What is wrong with its own part is told already.
    ]).onError(() => {}, []),
    when(
      "Closing or Closed",
      (l) =>
        (l.state === XenbusState.Closing && l.ours !== XenbusState.Closing) ||
        (l.state === XenbusState.Closed && l.ours !== XenbusState.Closed),
      [call("blkfront_closing", xenbusFrontendClosed, sameDevice)],
    ),
  ],
);

const blkfrontProbe = routine(
  "blkfront_probe [xen_blkfront]",
  (a: DeviceArgs) => ({ ...a, nodename: "", vdevice: null as string | null, hvm: false, isDisk: true }),
  ({ step, call, when, failWith }) => [
    step("nodename", (host, l) => {
      l.nodename = deviceOf(host, l.device).nodename;
      l.hvm = must(host, domainCell, l.domid).type !== "pv";
    }),
    call(
      "virtual-device",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.nodename, name: "virtual-device" }),
      (l, value) => {
        l.vdevice = value;
      },
    ),
    when("xen_hvm_domain", (l) => l.hvm, [
      call(
        "device-type",
        xenbusReadOptional,
        (l) => ({ domid: l.domid, dir: l.nodename, name: "device-type" }),
        (l, type) => void (l.isDisk = type !== null && !type.startsWith("cdrom")),
      ),
      // Its device model emulates it, and that is what the guest uses.
      when("a CD-ROM", (l) => !l.isDisk, [failWith("no driver for it", "ENODEV")]),
    ]),
    step("info", (host, l) => {
      const vdevice = Number.parseInt(l.vdevice ?? "0", 10);
      host.add(blkfrontCell, l.device, {
        vdevice,
        name: vdeviceName(vdevice),
        sectors: 0,
        connected: false,
        persistent: false,
        rings: 0,
      });
    }),
  ],
);

const blkfrontRemove = routine(
  "blkfront_remove [xen_blkfront]",
  (a: DeviceArgs) => ({ ...a }),
  ({ step }) => [
    step("blkif_free", (host, l) => {
      blkifFree(host, l.domid, l.device);
      host.drop(blkfrontCell, l.device);
    }),
  ],
);

function forget(host: Host, device: string): void {
  const blkfront = host.get(blkfrontCell, device);
  if (blkfront === undefined) return;
  for (let at = 0; at < blkfront.rings; at++) host.drop(blkfrontRingCell, `${device}/${at}`);
  host.drop(blkfrontCell, device);
}

/** The driver, as a guest's kernel loads it. */
export const blkfront = xenbusDriver({
  module: "xen_blkfront",
  bus: "frontend",
  type: "vbd",
  probe: blkfrontProbe,
  remove: blkfrontRemove,
  allowRebind: false,
  otherendChanged: blkbackChanged,
  forget,
});
