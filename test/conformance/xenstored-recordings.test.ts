// SPDX-License-Identifier: Apache-2.0
//
// Ours, fed with what real clients sent to the real C xenstored of Xen 4.17 in
// the recorded scenarios, answers with the same messages in the same order.
//
// Left out is k3-zombie-sharedinfo: it began with nodes of earlier domains that
// no snapshot of the recording shows.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { replayTrace } from "./xenstored-replay.ts";

const recordings = fileURLToPath(new URL("../golden/recordings/", import.meta.url));

/** What xen-init-dom0 and dom0's kernel leave in the store before the first domain. */
const boot: [path: string, value: string, perms: string][] = [
  ["/local", "", "n0"],
  ["/local/domain", "", "n0"],
  ["/local/domain/0", "", "n0"],
  ["/local/domain/0/control", "", "n0"],
  ["/local/domain/0/control/feature-poweroff", "1", "n0"],
  ["/local/domain/0/control/feature-reboot", "1", "n0"],
  ["/local/domain/0/control/feature-suspend", "1", "n0"],
  ["/local/domain/0/domid", "0", "n0"],
  ["/local/domain/0/name", "Domain-0", "n0"],
  ["/local/domain/0/memory", "", "n0"],
  ["/local/domain/0/memory/target", "1310720", "n0"],
  ["/local/domain/0/memory/static-max", "1310720", "n0"],
  ["/local/pool", "", "n0"],
  ["/local/pool/0", "", "n0"],
  ["/local/pool/0/name", "Pool-0", "n0"],
];

/** What libxl leaves behind once there has been a domain. */
const afterDomains: typeof boot = [...boot, ["/vm", "", "n0"], ["/libxl", "", "n0"]];

test.each([
  ["a-create-paused-unpause", boot, 1313],
  ["b-orderly-shutdown", afterDomains, 721],
  ["c-guest-poweroff", afterDomains, 546],
  ["d-guest-reboot-restart", afterDomains, 1254],
  ["d2-xl-reboot", afterDomains, 531],
  ["dev-vbd-vif", boot, 8017],
  ["e1-crash-destroy", afterDomains, 375],
  ["err-xl-errors", afterDomains, 1750],
  ["f-destroy-running", afterDomains, 418],
  ["g-pause-unpause", afterDomains, 698],
  ["h-rename", afterDomains, 958],
  ["i1-save-restore", afterDomains, 1386],
  ["k1-zombie-foreign-map", boot, 1388],
  ["m-domid-allocation", afterDomains, 706],
] as const)("%s", (scenario, nodes, messages) => {
  const { compared, differences } = replayTrace(`${recordings}${scenario}/xenstored-trace.log`, nodes);
  expect(differences).toEqual([]);
  expect(compared).toBe(messages);
});
