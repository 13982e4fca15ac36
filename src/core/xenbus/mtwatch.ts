// SPDX-License-Identifier: Apache-2.0
//
// How long a domain has a thread of its own: what makes it and what retires it.
// Facts: D. Zhang, "Live domU's xenwatch" (Xen Summit Nanjing 2018) and its RFC;
// that /local/domain is compared on both special watches is J. Gross's.

import { present } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { xenbusWholeDirectory } from "./directory.ts";
import { registerXenbusWatch } from "./watch.ts";
import type { WatchEvent, XenwatchPolicy } from "./xenbus.ts";
import { createDomainThread, mtwatchDomains, retireDomainThread } from "./xenwatch.ts";
import { xenbusExists } from "./xs.ts";

const DOMAINS = "/local/domain";

/** The domain a name below `/local/domain` stands for; 0 for dom0, and for what somebody else has put there. */
function domidNamed(name: string): number {
  return /^[1-9]\d*$/.test(name) ? Number(name) : 0;
}

/** Makes threads for domains that are new, lets those end whose domain has gone. */
function compare(host: Host, kernel: number, names: readonly string[]): void {
  const there = new Set(names.map(domidNamed).filter((domid) => domid !== 0));
  for (const domid of mtwatchDomains(host, kernel)) {
    if (!there.has(domid)) retireDomainThread(host, kernel, domid);
  }
  for (const domid of there) createDomainThread(host, kernel, domid);
}

/** `@introduceDomain` and `@releaseDomain` say that something happened, not to whom: all domains are compared. */
const domainsChanged = routine(
  "mtwatch_callback",
  (a: WatchEvent) => ({ ...a, names: [] as string[] }),
  ({ call, step }) => [
    call(
      "xenbus_directory",
      xenbusWholeDirectory,
      (l) => ({ domid: l.domid, path: DOMAINS }),
      (l, names) => void (l.names = names),
    ),
    step("compare domains", (host, l) => compare(host, l.domid, l.names)),
  ],
);

/** A domain's directory came or went: the path says whose. */
const parentChanged = routine(
  "mtwatch_parent_callback",
  (a: WatchEvent) => ({ ...a, of: domidNamed(a.path.slice(DOMAINS.length + 1)), exists: false }),
  ({ call, step, when }) => [
    when("of a domain", (l) => l.of > 0, [
      call(
        "xenbus_exists",
        xenbusExists,
        (l) => ({ domid: l.domid, dir: l.path, name: "" }),
        (l, exists) => void (l.exists = exists),
      ),
      step("create or retire", (host, l) => {
        if (l.exists) createDomainThread(host, l.domid, l.of);
        else retireDomainThread(host, l.domid, l.of);
      }),
    ]),
  ],
);

interface Watched {
  node: string;
  callback: string;
  /** Levels below the node that count, or null for all. */
  depth: number | null;
}

/** What tells a kernel that a domain's thread is to be made, by policy. */
const watched: { readonly [policy in XenwatchPolicy]: readonly Watched[] } = {
  single: [],
  "per-domain": ["@introduceDomain", "@releaseDomain"].map((node) => ({
    node,
    callback: domainsChanged.name,
    depth: null,
  })),
  "per-domain-parent": [{ node: DOMAINS, callback: parentChanged.name, depth: 1 }],
  // The event about a domain's first device does: xenwatch.ts.
  "per-domain-device": [],
};

/** Registers what makes and retires threads, before the kernel looks for devices. */
export const mtwatchInit = routine(
  "mtwatch_init",
  (a: { domid: number; policy: XenwatchPolicy }) => ({ ...a, watch: null as Watched | null }),
  ({ each, call }) => [
    each(
      "watches",
      (l) => watched[l.policy].map((watch) => ({ ...watch })),
      (l, watch) => void (l.watch = watch),
      [
        call("register_xenbus_watch", registerXenbusWatch, ({ domid, watch }) => ({
          domid,
          token: `mtwatch:${watch?.node}`,
          ...present(watch),
        })),
      ],
    ),
  ],
);
