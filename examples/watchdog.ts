// SPDX-License-Identifier: Apache-2.0

import { isFailure } from "../src/core/engine/errno.ts";
import { domainWatchdog } from "../src/core/hypervisor/watchdog.ts";
import { domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "watchdog",
  about: "a guest hangs: Xen's watchdog for it fires, and its monitor starts it again",
  host: {
    files: {
      "/etc/xen/one.cfg":
        'name = "one"\ntype = "pv"\nmemory = 32\nextra = "mode=spin"\non_watchdog = "restart"\n',
    },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      words.step("the guest's SCHEDOP_watchdog, which it never asks for again", (host) => {
        const started = domainWatchdog(host, 1, 0, 10);
        return isFailure(started) ? started : undefined;
      }),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
      until("domain 2 is up", (host) => guestIsUp(host, 2)),
    ];
  },
});
