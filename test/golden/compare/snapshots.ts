// SPDX-License-Identifier: Apache-2.0

import { renamePaths, renamePermission, renameValue } from "../names.ts";
import { add, type Comparator, type Facts } from "./facts.ts";

/**
 * (5) The store at a moment: every node with its value and permissions, in the
 * order in which the store lists children. A snapshot during which nodes went
 * away is not compared.
 */
export const snapshots: Comparator = {
  name: "snapshots",
  facts({ recording, names }) {
    const facts: Facts = new Map();
    for (const snapshot of recording.snapshots) {
      if (snapshot.torn) {
        add(facts, `snapshot ${snapshot.name}`, { text: "(torn)", unknown: true });
        continue;
      }
      for (const node of snapshot.nodes) {
        const value = renameValue(names, node.path, node.value, "0");
        const permissions = node.permissions
          .map((permission) => renamePermission(names, permission))
          .join(",");
        add(
          facts,
          `snapshot ${snapshot.name}`,
          `${renamePaths(names, node.path)} = "${value}" (${permissions})`,
        );
      }
    }
    return facts;
  },
};
