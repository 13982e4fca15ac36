// SPDX-License-Identifier: Apache-2.0

import { must } from "../../src/core/engine/cells.ts";
import { domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { mapForeign, unmapForeign } from "../../src/core/hypervisor/memory-op.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

const debugger_ = { domid: 0, process: "debugger" };

export default scenario({
  name: "zombie-shared-info",
  about:
    "a program of dom0 maps a guest's shared_info, a page of Xen's own: the dead domain has no memory left, and is held by a Xen heap page",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      words.step("map shared_info", (host, l) => {
        l["mfn"] = must(host, domainPagesCell, 1).sharedInfo;
        mapForeign(host, debugger_, { domid: 1, gfn: l["mfn"] });
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      words.step("unmap it", (host, l) => void unmapForeign(host, debugger_, { mfn: l["mfn"] as number })),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
  sometimes: {
    "it has no memory, and a Xen heap page": (host) =>
      domainIsDead(host, 1) &&
      must(host, domainPagesCell, 1).totPages === 0 &&
      must(host, domainPagesCell, 1).xenheapPages === 1,
  },
});
