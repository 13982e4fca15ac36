// SPDX-License-Identifier: Apache-2.0

import { domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "save-restore",
  about: "a guest is saved into a file, which ends it, and goes on from there under the next domid",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("save", ["save", "one", "/var/lib/xen/one.save"]),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
      ...xl("restore", ["restore", "/var/lib/xen/one.save"]),
      until("it is up again", (host) => guestIsUp(host, 2)),
    ];
  },
});
