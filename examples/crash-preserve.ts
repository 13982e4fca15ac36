// SPDX-License-Identifier: Apache-2.0

import { domainById } from "../src/core/hypervisor/domain.ts";
import { domainIsGone, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "crash-preserve",
  about: "a crashed guest is kept for a look, and destroyed by hand",
  host: {
    files: {
      "/etc/xen/one.cfg":
        'name = "one"\ntype = "pv"\nmemory = 32\nextra = "mode=crash delay=2"\non_crash = "preserve"\n',
    },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest has crashed", (host) => domainById(host, 1)?.shutdown === "complete"),
      words.sleep("a look", () => 5_000_000),
      ...xl("destroy", ["destroy", "1"]),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
    ];
  },
});
