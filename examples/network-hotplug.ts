// SPDX-License-Identifier: Apache-2.0

import { guestIsUp, operator, storeValue } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

const FRONTEND = "/local/domain/1/device/vif/0/state";
const CONNECTED = "4";

export default scenario({
  name: "network-hotplug",
  about: "a running guest is given a network interface, and it is taken away again",
  host: {
    files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\nextra = "dev=1"\n' },
  },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "/etc/xen/one.cfg"]),
      until("the guest is up", (host) => guestIsUp(host, 1)),
      ...xl("attach", ["network-attach", "one", "mac=00:16:3e:00:00:01", "bridge=xenbr0"]),
      until("the interface is connected", (host) => storeValue(host, FRONTEND) === CONNECTED),
      ...xl("detach", ["network-detach", "one", "0"]),
      until("its nodes are gone", (host) => storeValue(host, FRONTEND) === undefined),
    ];
  },
});
