// SPDX-License-Identifier: Apache-2.0

import { must } from "../../src/core/engine/cells.ts";
import { assert } from "../../src/core/engine/errno.ts";
import { domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { setTarget } from "../../src/core/hypervisor/domctl.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

export default scenario({
  name: "zombie-structure",
  about:
    "a stub domain has a guest as its target: the dead guest has no page of any kind, and is there until the stub domain is freed",
  host: {
    files: {
      "/etc/xen/one.cfg": 'name = "one"\ntype = "pvh"\nmemory = 32\n',
      "/etc/xen/stub.cfg": 'name = "stub"\ntype = "pv"\nmemory = 32\n',
    },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      ...xl("create the stub domain", ["create", "-p", "-e", "/etc/xen/stub.cfg"]),
      words.step("XEN_DOMCTL_set_target", (host) => {
        const set = setTarget(host, { domid: 0, process: "xl" }, { domid: 2, target: 1 });
        assert(set === 0, "the guest is its target");
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      ...xl("destroy the stub domain", ["destroy", "stub"]),
      until("both are freed", (host) => domainIsFreed(host, 1) && domainIsFreed(host, 2)),
    ];
  },
  sometimes: {
    "it has no page of any kind": (host) =>
      domainIsDead(host, 1) &&
      must(host, domainPagesCell, 1).totPages === 0 &&
      must(host, domainPagesCell, 1).xenheapPages === 0,
  },
});
