// SPDX-License-Identifier: Apache-2.0
//
// What a backend says of a frontend, or a toolstack, that offers it nonsense: in
// `error/<nodename>/error`, by its number and words. Each row names the function of
// Linux 6.1 that says so.

import { expect, test } from "vitest";
import { addBlockDevice, addBridge } from "../drivers/backend-devices.ts";
import { TestHost } from "./testing.ts";

type Nodes = { readonly [name: string]: string | null };

/** A device of a domain whose kernel does not run, by what differs from one that would connect. */
interface Device {
  /** Below the backend's directory; null for a node that is not there. */
  readonly backend?: Nodes;
  /** Below the frontend's. */
  readonly frontend?: Nodes;
}

const vif = {
  backend: { handle: "0", script: "s", mac: "00:16:3e:00:00:01" },
  frontend: { "request-rx-copy": "1" },
};
const vbd = { backend: { mode: "w", "physical-device": "7:0", dev: "xvda" }, frontend: {} };

/** Makes the device, shows its frontend in a state; what the backend has left in the store, and its state. */
function made(
  kind: "vif" | "vbd",
  device: Device,
  state: string,
): { host: TestHost; error: string; state: string } {
  const host = new TestHost();
  host.act((h) => {
    addBridge(h, "xenbr0");
    addBlockDevice(h, "7:0", "/dev/loop0", 32768);
  });
  const domid = host.build("mode=idle");
  const frontend = `/local/domain/${domid}/device/${kind}/0`;
  const backend = `/local/domain/0/backend/${kind}/${domid}/0`;
  const usual = kind === "vif" ? vif : vbd;
  const nodes = (path: string, all: Nodes): ["WRITE", string][] =>
    Object.entries(all).flatMap(([name, value]) =>
      value === null ? [] : [["WRITE", `${path}/${name}\0${value}`]],
    );
  host.store(
    ...nodes(frontend, { backend, "backend-id": "0", state: "1", ...usual.frontend, ...device.frontend }),
    ...nodes(backend, {
      frontend,
      "frontend-id": String(domid),
      online: "1",
      ...usual.backend,
      ...device.backend,
      state: "1",
    }),
  );
  host.settle();
  host.store(["WRITE", `${frontend}/state\0${state}`]);
  host.settle();
  const error = host.read(`/local/domain/0/error/backend/${kind}/${domid}/0/error`) ?? "";
  return {
    host,
    error: error.replaceAll(/\/local\/domain\/\d+/g, "~"),
    state: host.read(`${backend}/state`) ?? "",
  };
}

type Row = readonly [
  what: string,
  function_: string,
  device: Device,
  state: string,
  error: string,
  ends: string,
];

const ports = { "event-channel-tx": "5", "event-channel-rx": "6" };

const vifs: readonly Row[] = [
  [
    "no script",
    "netback_probe",
    { backend: { script: null } },
    "1",
    "2 xenbus_dev_probe on backend/vif/1/0",
    "5",
  ],
  [
    "no handle",
    "backend_create_xenvif",
    { backend: { handle: null } },
    "1",
    "2 xenbus_dev_probe on backend/vif/1/0",
    "5",
  ],
  [
    "three queues of two",
    "connect",
    { frontend: { "multi-queue-num-queues": "3" } },
    "4",
    "22 guest requested 3 queues, exceeding the maximum of 2.",
    "4",
  ],
  ["no address", "connect", { backend: { mac: null } }, "4", "2 parsing backend/vif/1/0/mac", "4"],
  [
    "no good address",
    "xen_net_read_mac",
    { backend: { mac: "00:16:3e" } },
    "4",
    "2 parsing backend/vif/1/0/mac",
    "4",
  ],
  ["no rings", "connect_data_rings", {}, "4", "2 reading ~/device/vif/0/ring-ref", "4"],
  [
    "a ring that is no number",
    "xenbus_gather",
    { frontend: { "tx-ring-ref": "8", "rx-ring-ref": "x" } },
    "4",
    "22 reading ~/device/vif/0/ring-ref",
    "4",
  ],
  [
    "no ports",
    "connect_data_rings",
    { frontend: { "tx-ring-ref": "8", "rx-ring-ref": "9" } },
    "4",
    "2 reading ~/device/vif/0/event-channel(-tx/rx)",
    "4",
  ],
  [
    "rings that nobody granted",
    "connect_data_rings",
    { frontend: { "tx-ring-ref": "8", "rx-ring-ref": "9", ...ports } },
    "4",
    "2 mapping shared-frames 8/9 port tx 5 rx 6",
    "4",
  ],
  ["a state that a frontend does not have", "frontend_changed", {}, "8", "22 saw state 8 at frontend", "5"],
];

const vbds: readonly Row[] = [
  [
    "half a number",
    "backend_changed",
    { backend: { "physical-device": "7" } },
    "1",
    "-1 reading physical-device",
    "5",
  ],
  ["no mode", "backend_changed", { backend: { mode: null } }, "1", "2 reading mode", "5"],
  [
    "no such device",
    "xen_vbd_create",
    { backend: { "physical-device": "7:1" } },
    "1",
    "2 creating vbd structure",
    "5",
  ],
  [
    "another protocol",
    "connect_ring",
    { frontend: { protocol: "sparc" } },
    "3",
    "-1 unknown fe protocol sparc",
    "5",
  ],
  [
    "no queues",
    "connect_ring",
    { frontend: { protocol: "x86_64-abi", "multi-queue-num-queues": "0" } },
    "3",
    "-1 guest requested 0 queues, exceeding the maximum of 2.",
    "5",
  ],
  [
    "three queues, and no protocol",
    "connect_ring",
    { frontend: { "multi-queue-num-queues": "3" } },
    "3",
    "2 guest requested 3 queues, exceeding the maximum of 2.",
    "5",
  ],
  [
    "rings of 32 pages",
    "connect_ring",
    { frontend: { "ring-page-order": "5" } },
    "3",
    "22 requested ring page order 5 exceed max:4",
    "5",
  ],
  ["no port", "read_per_ring_refs", {}, "3", "22 reading ~/device/vbd/0/event-channel", "5"],
  [
    "no ring",
    "read_per_ring_refs",
    { frontend: { "event-channel": "5" } },
    "3",
    "22 reading ~/device/vbd/0/ring-ref",
    "5",
  ],
  [
    "no first of several pages",
    "read_per_ring_refs",
    { frontend: { "event-channel": "5", "ring-page-order": "0", "ring-ref": "8" } },
    "3",
    "22 reading ~/device/vbd/0/ring-ref0",
    "5",
  ],
  [
    "a ring that nobody granted",
    "xen_blkif_map",
    { frontend: { "event-channel": "5", "ring-ref": "8" } },
    "3",
    "2 mapping ring-ref port 5",
    "5",
  ],
  ["a state that a frontend does not have", "frontend_changed", {}, "7", "22 saw state 7 at frontend", "5"],
];

test.each(vifs)("vif: %s (%s)", (_what, _function, device, state, error, ends) => {
  expect(made("vif", device, state)).toMatchObject({ error, state: ends });
});

test.each(vbds)("vbd: %s (%s)", (_what, _function, device, state, error, ends) => {
  expect(made("vbd", device, state)).toMatchObject({ error, state: ends });
});

test("a frontend whose directory is missing has no backend device (backend_bus_id)", () => {
  const { error, state } = made("vif", { backend: { frontend: "/nowhere" } }, "1");
  expect({ error, state }).toEqual({ error: "ENOENT", state: "1" });
});

test("the grant table's own number comes first, and what the kernel logs (xenbus_map_ring)", () => {
  const { host } = made("vbd", { frontend: { "event-channel": "5", "ring-ref": "8" } }, "3");
  const said = host.records.flatMap((r) => (r.kind === "printk" && r.data.domid === 0 ? [r.data.text] : []));
  expect(said).toEqual([
    "xen-blkback: backend/vbd/1/0: using 1 queues, protocol 1 (unspecified, assuming default) ",
    "vbd vbd-1-0: 1 mapping in shared page 8 from domain 1",
    "vbd vbd-1-0: 2 mapping ring-ref port 5",
  ]);
});
