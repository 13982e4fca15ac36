// SPDX-License-Identifier: Apache-2.0
//
// xenolith ifconfig: dom0's network interfaces; its cards up and down.

import { interfacesText } from "../../live/dom0.ts";
import type { InterfaceRow, Refused } from "../../live/dom0.ts";
import { Problem } from "../../live/problem.ts";
import type { Command } from "../command.ts";
import { DIR_OPTION, printJson } from "../command.ts";
import { askHost, dirWords } from "../host.ts";

export const command: Command = {
  name: "ifconfig",
  summary: "dom0's network interfaces; takes a network card down or up",
  operands: "[NIC up|down]",
  details:
    "Each bridge has a network card. Taking it down resets it: packets that its driver held are freed, which is what\n" +
    "operators do when a lost packet stalls xenwatch. Without words: lists dom0's interfaces.",
  examples: ["xenolith ifconfig", "xenolith ifconfig eth0 down && xenolith ifconfig eth0 up"],
  options: [DIR_OPTION],
  words: [0, 2],
  run: async (invocation) => {
    const [nic, way] = invocation.words;
    if (nic !== undefined && way !== "up" && way !== "down")
      throw new Problem(`${nic} is to be taken up or down, not ${way ?? "nothing"}`, null, 2);
    const { result } = await askHost(invocation, "ifconfig", invocation.words);
    const rows = result as InterfaceRow[] | Refused;
    if ("refused" in rows) throw new Problem(rows.refused, `xenolith ifconfig${dirWords(invocation)}`);
    if (invocation.json) printJson(rows);
    else process.stdout.write(`${interfacesText(rows).join("\n")}\n`);
    return 0;
  },
};
