// SPDX-License-Identifier: Apache-2.0

import type { Snapshot } from "../recording.ts";
import { lines } from "./commands.ts";

/**
 * Parses the output of `xenstore-ls -fp`: `PATH = "VALUE"   (PERMISSIONS)`.
 * Anything else on a line is the tool's complaint about a node that went away
 * while it walked the tree.
 */
export function parseSnapshot(name: string, text: string): Snapshot {
  const snapshot: Snapshot = { name, nodes: [], torn: false };
  for (const line of lines(text)) {
    const m = /^(\/\S*) = "(.*)" {3}\(([nrwb\d,]*)\)$/.exec(line);
    if (m) snapshot.nodes.push({ path: m[1]!, value: m[2]!, permissions: m[3]!.split(",") });
    else snapshot.torn = true;
  }
  return snapshot;
}
