// SPDX-License-Identifier: Apache-2.0

import type { Recording } from "../recording.ts";
import { append, remove, set, swap, type Mutation } from "./damage.ts";

/** Nodes: dropped, with another value, permission or place. */
export function ofSnapshots(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const snapshot of recording.snapshots.filter((one) => !one.torn)) {
    snapshot.nodes.forEach((node, at) => {
      const what = `${snapshot.name}: ${node.path}`;
      found.push({ what: `${what}: dropped`, apply: () => remove(snapshot.nodes, [node]) });
      found.push({ what: `${what}: value changed`, apply: () => set(node, "value", `${node.value}x`) });
      const [first = ""] = node.permissions;
      found.push({
        what: `${what}: permission changed`,
        apply: () => set(node.permissions, 0, (first.startsWith("n") ? "r" : "n") + first.slice(1)),
      });
      found.push({ what: `${what}: reader added`, apply: () => append(node.permissions, "r77") });
      const next = snapshot.nodes[at + 1];
      if (next)
        found.push({
          what: `${what}: value swapped with the next`,
          apply: () =>
            next.value === node.value ? set(node, "path", `${node.path}x`) : swap(node, next, "value"),
        });
    });
  }
  return found;
}
