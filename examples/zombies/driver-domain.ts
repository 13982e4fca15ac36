// SPDX-License-Identifier: Apache-2.0

import { assert } from "../../src/core/engine/errno.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import { grantAccess, mapGrantRef } from "../../src/core/hypervisor/grant-table-op.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

/** A reference no driver of the guest's uses. */
const REF = 500;

export default scenario({
  name: "zombie-driver-domain",
  about:
    "a driver domain keeps a guest's granted page: nothing takes it back from it, until the driver domain is destroyed itself",
  host: {
    files: {
      "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n',
      "/etc/xen/driver.cfg": 'name = "driver"\ntype = "pv"\nmemory = 32\n',
    },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      ...xl("create the driver domain", ["create", "-p", "-e", "/etc/xen/driver.cfg"]),
      words.step("grant a page, map it", (host) => {
        const [first] = runsOf(host, ownedFrames(1));
        assert(first !== undefined, "the guest has memory");
        grantAccess(host, 1, REF, 2, first.start + first.count - 1);
        const { status } = mapGrantRef(host, { domid: 2, process: "kernel" }, { domid: 1, ref: REF });
        assert(status === 0, "the driver domain maps it");
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      ...xl("destroy the driver domain", ["destroy", "driver"]),
      until("both are freed", (host) => domainIsFreed(host, 1) && domainIsFreed(host, 2)),
    ];
  },
  sometimes: { "domain 1 is a zombie": (host) => domainIsDead(host, 1) },
});
