// SPDX-License-Identifier: Apache-2.0
//
// The folders that programs have which run in a domain other than dom0: a host's
// folder has one for each such domain, with what a machine of its own would have.

import * as fs from "node:fs";
import * as path from "node:path";

/** What programs in a domain are run with. */
export interface DomainPlace {
  domid: number;
  /** In the place of the host's directory: /run/xen, /var/lib/xen and so on lie below it. */
  dir: string;
  /** Folder of its device bridge. */
  bridge: string;
  /** Where no xenstored's socket is. */
  xenstored: string;
}

/** The place of a domain in a host's directory. */
export function domainPlace(dir: string, domid: number): DomainPlace {
  const own = path.join(dir, `domain-${domid}`);
  return {
    domid,
    dir: own,
    bridge: path.join(own, "bridge"),
    xenstored: path.join(own, "no-xenstored", "socket"),
  };
}

/** Makes a domain's folders. */
export function makeDomainPlace({ bridge, xenstored }: DomainPlace): void {
  for (const folder of [bridge, path.dirname(xenstored)])
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Takes away what programs in domains had on a host that was here before. */
export function forgetDomainPlaces(dir: string): void {
  for (const name of fs.readdirSync(dir))
    if (/^domain-\d+$/.test(name)) fs.rmSync(path.join(dir, name), { recursive: true, force: true });
}
