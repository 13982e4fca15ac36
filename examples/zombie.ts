// SPDX-License-Identifier: Apache-2.0

import { endHolder, startHolder } from "../src/explore/holder.ts";
import { domainIsDead, domainIsFreed, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "zombie",
  about:
    "a process of dom0 maps a page of a guest while xl destroys it: the domain is dead, but not gone before the process lets go",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      words.step("holder", (host) => startHolder(host, 1)),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      words.step("holder lets go", endHolder),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
      words.sleep("nobody is told", () => 1_000_000),
    ];
  },
  sometimes: { "domain 1 is a zombie": (host) => domainIsDead(host, 1) },
});
