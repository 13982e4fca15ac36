// SPDX-License-Identifier: Apache-2.0

import { assert } from "../../src/core/engine/errno.ts";
import { clearFaults, injectFault } from "../../src/core/engine/fault.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import {
  markOutOfSync,
  shadowFault,
  shadowsOf,
  updatePagetables,
} from "../../src/core/hypervisor/legacy-shadow.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

export default scenario({
  name: "zombie-legacy-shadow",
  about:
    "as in 2005: a guest's tables are shadowed, and a monitor table's reference to a shadow is not dropped, which keeps the guest's page",
  host: {
    machine: { paging: "legacy-shadow" },
    files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pvh"\nmemory = 32\n' },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      words.step("the guest pages", (host) => {
        const [first] = runsOf(host, ownedFrames(1));
        assert(first !== undefined, "the guest has memory");
        const [l2, l1, page, other] = [0, 1, 2, 3].map((at) => first.start + at) as [
          number,
          number,
          number,
          number,
        ];
        updatePagetables(host, 1, 0, l2);
        shadowFault(host, 1, { l2, l1 }, page);
        markOutOfSync(host, 1, l1, other);
        assert(injectFault(host, "forget-put", ["1", "monitor-table"]) === 0, "the fault is injected");
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      words.step("drop it", (host) => void clearFaults(host)),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
  sometimes: {
    "a shadow is left, and only the monitor table refers to it": (host) =>
      domainIsDead(host, 1) &&
      shadowsOf(host, 1).length > 0 &&
      shadowsOf(host, 1).every(({ holders }) =>
        holders.every((holder) => /^monitor table|^l2 of/.test(holder)),
      ),
  },
});
