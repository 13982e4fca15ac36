// SPDX-License-Identifier: Apache-2.0

import { operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "create-paused",
  about: "xl create -p: what the toolstack, Xen and xenstored do before a guest's first instruction",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  script: (words) => operator(words).xl("create", ["create", "-p", "/etc/xen/one.cfg"]),
});
