// SPDX-License-Identifier: Apache-2.0
//
// What a kernel says: a line in its log. dom0's kernel and the guests' print
// alike; a guest's reaches its console where its log level lets it through.

import type { Host } from "../engine/host.ts";
import { deviceOf } from "./device.ts";

declare module "../engine/trace.ts" {
  interface TraceEvents {
    /** A line in the log of a domain's kernel. */
    printk: { domid: number; text: string };
  }
}

/** Adds a line to the log of a domain's kernel. */
export function printk(host: Host, domid: number, text: string): void {
  host.emit("printk", { domid, text });
}

/** A device's name on its bus: `vif-1-0` for a backend, `vif-0` for a frontend. */
export function busId({ nodename }: { readonly nodename: string }): string {
  return nodename.split("/").slice(1).join("-");
}

/** A line about a device: its driver is named after the devices it drives, one without a driver after its bus. */
export function devPrint(host: Host, device: string, text: string): void {
  const dev = deviceOf(host, device);
  const bus = dev.bus === "backend" ? "xen-backend" : "xen";
  printk(host, dev.domid, `${dev.driver === null ? bus : dev.devicetype} ${busId(dev)}: ${text}`);
}
