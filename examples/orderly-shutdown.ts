// SPDX-License-Identifier: Apache-2.0

import { domainIsFreed, domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "orderly-shutdown",
  about: "a guest is created, comes up, is asked to shut down, and is gone",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("shutdown", ["shutdown", "-w", "one"]),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
  finally: {
    "domain 1 is gone": (host) => (domainIsGone(host, 1) ? null : "it is still there"),
  },
});
