// SPDX-License-Identifier: Apache-2.0

import { must } from "../../src/core/engine/cells.ts";
import { isFailure } from "../../src/core/engine/errno.ts";
import type { Host } from "../../src/core/engine/host.ts";
import { domainById } from "../../src/core/hypervisor/domain.ts";
import { createdomain, destroydomain } from "../../src/core/hypervisor/domctl.ts";
import { DOMID_FIRST_RESERVED, domidRoverCell } from "../../src/core/hypervisor/domid.ts";
import { endHolder, startHolder } from "../../src/explore/holder.ts";
import { domainIsDead, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

/** The domid given out last. */
function lastGiven(host: Host): number {
  return must(host, domidRoverCell, 0).rover;
}

const caller = { domid: 0, process: "maker" };

export default scenario({
  name: "reuse",
  about: "domids have come round to 1, which a zombie has, when a domain is created",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  before: (words) => [
    ...operator(words).xl("create", ["create", "-e", "-p", "/etc/xen/one.cfg"]),
    words.step("holder", (host) => startHolder(host, 1)),
  ],
  prepare: (host) => {
    host.edit(domidRoverCell, 0).rover = DOMID_FIRST_RESERVED - 1;
  },
  script: (words) => [
    words.call("destroydomain", destroydomain, () => ({ caller, domid: 1 })),
    words.step("holder lets go", endHolder),
    words.step("create", (host) => {
      const made = createdomain(host, caller, {});
      return isFailure(made) ? made : undefined;
    }),
  ],
  sometimes: {
    "the zombie has 1": (host) => domainIsDead(host, 1) && domainById(host, 2) !== undefined,
    "the new domain has 1": (host) => domainById(host, 1)?.isDying === "alive" && lastGiven(host) === 1,
  },
});
