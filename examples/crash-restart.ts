// SPDX-License-Identifier: Apache-2.0

import { domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "crash-restart",
  about: "a guest crashes and its monitor starts it again under the next domid",
  host: {
    files: {
      "/etc/xen/one.cfg":
        'name = "one"\ntype = "pv"\nmemory = 32\nextra = "mode=crash delay=2"\non_crash = "restart"\n',
    },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
      until("domain 2 is up", (host) => guestIsUp(host, 2)),
    ];
  },
});
