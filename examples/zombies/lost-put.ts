// SPDX-License-Identifier: Apache-2.0

import { assert, isFailure } from "../../src/core/engine/errno.ts";
import { injectFault } from "../../src/core/engine/fault.ts";
import { forceFreePage, pagesLeft } from "../../src/core/hypervisor/force-free.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

export default scenario({
  name: "zombie-lost-put",
  about:
    "Xen forgets to drop a grant's reference: xenstored has let go of its ring, debug key g shows nothing, and the page stays until it is freed by force",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      words.step("a bug", (host) => {
        assert(injectFault(host, "forget-put", ["1", "grant-map"]) === 0, "the fault is injected");
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      words.step("free it by force", (host) => {
        const left = pagesLeft(host, 1);
        assert(!isFailure(left) && left.length === 1, "one page is left");
        const [page] = left;
        assert(page !== undefined && page.holders.length === 0, "nobody holds it");
        assert(forceFreePage(host, 1, page.mfn) === 0, "it is freed");
      }),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
  sometimes: { "domain 1 is a zombie": (host) => domainIsDead(host, 1) },
});
