// SPDX-License-Identifier: Apache-2.0
//
// The domids of lately destroyed domains, which no new one may have: a line
// `SECONDS DOMID` for each in /var/run/xen/domid-history
// (tools/libs/light/libxl_domain.c, libxl__mark_domid_recent).

import type { Host } from "../engine/host.ts";
import { readFileText, writeFileText } from "../daemons/files.ts";

const PATH = "/var/run/xen/domid-history";
/** Seconds a domid rests (LIBXL_DOMID_REUSE_TIMEOUT). */
const REUSE_TIMEOUT = 60;

interface Entry {
  seconds: number;
  domid: number;
}

const secondsNow = (host: Host): number => Math.floor(host.now / 1_000_000);

function recent(host: Host): Entry[] {
  const lines = (readFileText(host, PATH) ?? "").split("\n").filter((line) => line !== "");
  const entries = lines.map((line) => {
    const [seconds, domid] = line.split(" ").map(Number);
    return { seconds: seconds as number, domid: domid as number };
  });
  return entries.filter(({ seconds }) => secondsNow(host) - seconds <= REUSE_TIMEOUT);
}

/** Notes that a domain is being destroyed now, and forgets those that have rested. */
export function markDomidRecent(host: Host, domid: number): void {
  const entries = [...recent(host), { seconds: secondsNow(host), domid }];
  writeFileText(host, PATH, entries.map((entry) => `${entry.seconds} ${entry.domid}\n`).join(""));
}

/** Whether a domain of that domid was destroyed less than a minute ago. */
export function isDomidRecent(host: Host, domid: number): boolean {
  return recent(host).some((entry) => entry.domid === domid);
}
