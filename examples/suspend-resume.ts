// SPDX-License-Identifier: Apache-2.0

import { guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "suspend-resume",
  about: "xl save -c: a guest suspends itself, is written down, and is resumed in the same domain",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("save", ["save", "-c", "one", "/var/lib/xen/one.save"]),
      ...xl("shutdown", ["shutdown", "-w", "one"]),
    ];
  },
});
