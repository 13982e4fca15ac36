// SPDX-License-Identifier: Apache-2.0

import { checkLedger } from "../../src/core/hypervisor/check-ledger.ts";
import { destroydomain } from "../../src/core/hypervisor/domctl.ts";
import { domainIsDead, domainIsFreed, domainIsGone, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

export default scenario({
  name: "kill",
  about: "a domain that was never unpaused is killed; xenstored and xenconsoled let go of it",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  before: (words) => operator(words).xl("create", ["create", "-e", "-p", "/etc/xen/one.cfg"]),
  script: (words) => [
    words.call("destroydomain", destroydomain, () => ({ caller: { domid: 0, process: "killer" }, domid: 1 })),
    operator(words).until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
  ],
  always: {
    "every reference has an owner": (host) => checkLedger(host, 1)[0] ?? null,
  },
  sometimes: {
    "domain 1 is dead and not gone": (host) => domainIsDead(host, 1),
    "domain 1 is gone and not freed": (host) => domainIsGone(host, 1) && !domainIsFreed(host, 1),
  },
  finally: {
    "domain 1 is freed": (host) => (domainIsFreed(host, 1) ? null : "somebody holds on to it for ever"),
  },
});
