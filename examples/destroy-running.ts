// SPDX-License-Identifier: Apache-2.0

import { domainIsGone, guestIsUp, operator } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "destroy-running",
  about: "xl destroy of a running guest with a disk and a network interface",
  host: {
    files: {
      "/etc/xen/one.cfg": [
        'name = "one"',
        'type = "pv"',
        "memory = 32",
        'extra = "dev=1"',
        'disk = [ "phy:/dev/vg/one,xvda,w" ]',
        'vif = [ "mac=00:16:3e:00:00:01,bridge=xenbr0" ]',
        "",
      ].join("\n"),
    },
    blockDevices: { "/dev/vg/one": 32768 },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is gone", (host) => domainIsGone(host, 1)),
    ];
  },
});
