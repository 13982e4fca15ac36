// SPDX-License-Identifier: Apache-2.0

import { must } from "../../src/core/engine/cells.ts";
import { assert, isFailure } from "../../src/core/engine/errno.ts";
import { domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { acquireIoreqFrames, createIoreqServer } from "../../src/core/hypervisor/ioreq-op.ts";
import { mapFrame } from "../../src/core/hypervisor/mapping.ts";
import { unmapForeign } from "../../src/core/hypervisor/memory-op.ts";
import { domainIsDead, domainIsFreed, operator } from "../../src/explore/operator.ts";
import { scenario } from "../../src/explore/scenario.ts";

const deviceModel = { domid: 0, process: "device-model" };

export default scenario({
  name: "zombie-ioreq",
  about:
    "a device model outlives its domain: it maps the page in which it was asked for I/O, which Xen allocated in the domain's name",
  host: { files: { "/etc/xen/one.cfg": 'name = "one"\ntype = "pvh"\nmemory = 32\n' } },
  script: (words) => {
    const { xl, until } = operator(words);
    return [
      ...xl("create", ["create", "-p", "-e", "/etc/xen/one.cfg"]),
      words.step("serve its I/O", (host, l) => {
        const id = createIoreqServer(host, deviceModel, { domid: 1, bufioreqHandling: 0 });
        assert(!isFailure(id), "an IOREQ server");
        const frames = acquireIoreqFrames(host, deviceModel, { domid: 1, id, frame: 1, nrFrames: 1 });
        assert(!isFailure(frames), "its page");
        l["mfn"] = frames.mfns[0] as number;
        mapFrame(host, 0, deviceModel.process, "foreign map", 1, l["mfn"], false);
      }),
      ...xl("destroy", ["destroy", "one"]),
      until("domain 1 is dead", (host) => domainIsDead(host, 1)),
      words.sleep("a while", () => 1_000_000),
      words.step("the device model ends", (host, l) => {
        unmapForeign(host, deviceModel, { mfn: l["mfn"] as number });
      }),
      until("domain 1 is freed", (host) => domainIsFreed(host, 1)),
    ];
  },
  sometimes: {
    "it has an extra page and nothing else": (host) =>
      domainIsDead(host, 1) &&
      must(host, domainPagesCell, 1).extraPages.length === 1 &&
      must(host, domainPagesCell, 1).totPages === 1,
  },
});
