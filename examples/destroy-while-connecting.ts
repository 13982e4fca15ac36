// SPDX-License-Identifier: Apache-2.0

import { isFailure } from "../src/core/engine/errno.ts";
import { checkLedger } from "../src/core/hypervisor/check-ledger.ts";
import { domainById } from "../src/core/hypervisor/domain.ts";
import { pausedomain } from "../src/core/hypervisor/domctl.ts";
import { domainIsGone, operator, storeValue } from "../src/explore/operator.ts";
import { scenario } from "../src/explore/scenario.ts";

const FRONTEND = "/local/domain/1/device/vbd/51712/state";
const BACKEND = "/local/domain/0/backend/vbd/1/51712/state";
const CONNECTED = "4";

export default scenario({
  name: "destroy-while-connecting",
  about:
    "xl destroy at the moment at which a guest has offered its disk's ring and blkback has not mapped it yet",
  host: {
    files: {
      "/etc/xen/one.cfg": [
        'name = "one"',
        'type = "pv"',
        "memory = 32",
        'extra = "dev=1"',
        'disk = [ "phy:/dev/vg/one,xvda,w" ]',
        "",
      ].join("\n"),
    },
    blockDevices: { "/dev/vg/one": 32768 },
  },
  before: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-e", "-p", "/etc/xen/one.cfg"]),
      ...xl("unpause", ["unpause", "one"]),
      until("the frontend has offered its ring", (host) => storeValue(host, FRONTEND) === "3"),
      // What the guest does from here on is not the question: it stands still.
      words.step("pause", (host) => {
        const paused = pausedomain(host, { domid: 0, process: "operator" }, 1);
        return isFailure(paused) ? paused : undefined;
      }),
    ];
  },
  settle: false,
  // The console is not the question either.
  prompt: ["xenconsoled"],
  script: (words) => {
    const { xl, until } = operator(words);
    return [...xl("destroy", ["destroy", "one"]), until("domain 1 is gone", (host) => domainIsGone(host, 1))];
  },
  always: {
    "every reference has an owner": (host) => {
      for (const domid of [0, 1]) {
        if (domainById(host, domid) === undefined) continue;
        const [first] = checkLedger(host, domid);
        if (first !== undefined) return first;
      }
      return null;
    },
  },
  sometimes: {
    "the backend connects all the same": (host) => storeValue(host, BACKEND) === CONNECTED,
    "the domain is gone": (host) => domainIsGone(host, 1),
  },
  finally: {
    "domain 1 is gone": (host) =>
      domainIsGone(host, 1) ? null : "it is still there, and nothing is left to do",
    "no node of it is left": (host) =>
      storeValue(host, "/local/domain/1") === undefined &&
      storeValue(host, "/local/domain/0/backend/vbd/1") === undefined
        ? null
        : "nodes of domain 1 are left",
  },
});
