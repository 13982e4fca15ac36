// SPDX-License-Identifier: Apache-2.0

import { domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

const config = (name: string, extra: string): string =>
  `name = "${name}"\ntype = "pv"\nmemory = 32\nextra = "${extra}"\n`;

export default scenario({
  name: "two-domains",
  about: "two guests are created at the same time; one switches itself off while the other one lives on",
  host: {
    files: {
      "/etc/xen/one.cfg": config("one", "mode=poweroff delay=3"),
      "/etc/xen/two.cfg": config("two", "mode=idle"),
    },
  },
  script: (words) => {
    const { xl, startXl, finishXl, until } = operator(words);
    return [
      startXl("create one", ["create", "/etc/xen/one.cfg"]),
      startXl("create two", ["create", "/etc/xen/two.cfg"]),
      ...finishXl("create one"),
      ...finishXl("create two"),
      until("one of them is gone", (host) => domainIsGone(host, 1) || domainIsGone(host, 2)),
      until("the other one is up", (host) => guestIsUp(host, 1) || guestIsUp(host, 2)),
      ...xl("shutdown", ["shutdown", "-w", "two"]),
    ];
  },
});
