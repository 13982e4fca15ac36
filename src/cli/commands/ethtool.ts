// SPDX-License-Identifier: Apache-2.0
//
// xenolith ethtool: a backend interface's counters.

import type { NetbackStats } from "../../core/drivers/netback-cells.ts";
import { ethtoolText } from "../../live/dom0.ts";
import type { Refused } from "../../live/dom0.ts";
import { Problem } from "../../live/problem.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

export const command: Command = {
  name: "ethtool",
  summary: "an interface's counters, as `ethtool -S` prints them",
  operands: "VIF",
  details:
    "Where tx_zerocopy_sent is more than success and fail together, packets have not come back: netback's dealloc\n" +
    "thread cannot stop before they do, and whoever waits for it waits as long.",
  examples: ["xenolith ethtool vif1.0", "xenolith ethtool vif1.0 --json"],
  options: [DIR_OPTION],
  words: [1, 1],
  run: async (invocation) => {
    const { result } = await askHost(invocation, "ethtool", invocation.words);
    const stats = result as NetbackStats | Refused;
    if ("refused" in stats) throw new Problem(stats.refused, `xenolith ifconfig${dirWords(invocation)}`);
    if (invocation.json) printJson(stats);
    else process.stdout.write(`${ethtoolText(stats).join("\n")}\n`);
    return 0;
  },
};
