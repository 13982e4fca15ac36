// SPDX-License-Identifier: Apache-2.0
//
// Does the store hold together? What CONTROL check looks for, and tests.

import { type Cells, must } from "../engine/cells.ts";
import { listBytes, listItems } from "./list.ts";
import { recordSize } from "./node.ts";
import { childrenList, nodeType, storedSubtree } from "./tree.ts";
import { ownedNodes } from "./owned.ts";
import { ownerOf } from "./perms.ts";
import { accountOf, isUnprivilegedDomid } from "./quota.ts";

/** Everything that is not as it should be, in words; empty for a sound store. */
export function checkStore(cells: Cells): string[] {
  const problems: string[] = [];
  const held = new Map<number, { nodes: number; memory: number; paths: Set<string> }>();
  const reached = storedSubtree(cells, "/");
  for (const path of reached) {
    const node = cells.get(nodeType, path);
    if (node === undefined) {
      problems.push(`node '${path}' not found`);
      continue;
    }
    const names = listItems(cells, childrenList, path);
    if (new Set(names).size !== names.length) problems.push(`'${path}' has a duplicated child`);
    const owner = ownerOf(node.perms);
    if (!isUnprivilegedDomid(cells, owner)) continue;
    const sum = held.get(owner) ?? { nodes: 0, memory: 0, paths: new Set() };
    sum.nodes++;
    sum.memory +=
      path.length + recordSize(cells, node.perms, node.value.length, listBytes(cells, childrenList, path));
    sum.paths.add(path);
    held.set(owner, sum);
  }
  if (cells.count(nodeType) !== reached.length) {
    const known = new Set(reached);
    for (const id of cells.ids(nodeType)) if (!known.has(String(id))) problems.push(`'${id}' is orphaned`);
  }
  for (const [domid, { nodes, memory, paths }] of held) {
    const account = accountOf(cells, domid);
    if (account.nodes !== nodes)
      problems.push(`domain ${domid} has ${nodes} nodes, ${account.nodes} are counted`);
    if (account.memory < memory)
      problems.push(`domain ${domid} has ${memory} bytes, ${account.memory} are counted`);
    const owned = ownedNodes(cells, domid);
    if (owned.length !== paths.size || owned.some((path) => !paths.has(path))) {
      problems.push(`domain ${domid}: the index of its nodes is wrong`);
    }
  }
  must(cells, nodeType, "/");
  return problems;
}
