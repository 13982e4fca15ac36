// SPDX-License-Identifier: Apache-2.0
//
// What a kernel says: a line in its log. dom0's kernel and the guests' print
// alike; a guest's reaches its console where its log level lets it through.

import type { Host } from "../engine/host.ts";

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
