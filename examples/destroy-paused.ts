// SPDX-License-Identifier: Apache-2.0

import { checkLedger } from "../src/core/hypervisor/check-ledger.ts";
import { domainIsGone, operator, storeValue } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

export default scenario({
  name: "destroy-paused",
  about:
    "xl destroy of a domain that never ran, against xenstored, xenconsoled, dom0's kernel and xl's own monitor",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pv"\nmemory = 32\n' } },
  before: (words) => operator(words).xl("create", ["create", "-p", "/etc/xen/one.cfg"]),
  script: (words) => {
    const { xl, until } = operator(words);
    return [...xl("destroy", ["destroy", "one"]), until("domain 1 is gone", (host) => domainIsGone(host, 1))];
  },
  always: {
    "every reference has an owner": (host) => checkLedger(host, 1)[0] ?? null,
  },
  sometimes: {
    "domain 1 is gone": (host) => domainIsGone(host, 1),
  },
  finally: {
    "domain 1 is gone": (host) =>
      domainIsGone(host, 1) ? null : "it is still there, and nothing is left to do",
    "no node of it is left": (host) =>
      storeValue(host, "/local/domain/1") === undefined ? null : "/local/domain/1 is still there",
  },
});
