// SPDX-License-Identifier: Apache-2.0
//
// Circles of a graph: its strongly connected parts of more than one node, or
// of one that leads to itself (Tarjan 1972).

/** What the search for circles notes of a node. */
interface Mark {
  order: number;
  low: number;
  open: boolean;
}

/** The circles among the nodes that can be reached from one. */
export function circles<N extends { readonly next: readonly N[] }>(from: N): N[][] {
  const marks = new Map<N, Mark>();
  const found: N[][] = [];
  const open: N[] = [];
  const way: { node: N; mark: Mark; at: number }[] = [];
  const enter = (node: N): void => {
    const mark = { order: marks.size, low: marks.size, open: true };
    marks.set(node, mark);
    open.push(node);
    way.push({ node, mark, at: 0 });
  };
  const leave = (node: N, mark: Mark): void => {
    const above = way.at(-1);
    if (above !== undefined) above.mark.low = Math.min(above.mark.low, mark.low);
    if (mark.low < mark.order) return;
    const part = open.splice(open.lastIndexOf(node));
    for (const each of part) (marks.get(each) as Mark).open = false;
    if (part.length > 1 || node.next.includes(node)) found.push(part);
  };
  enter(from);
  for (let top = way.at(-1); top !== undefined; top = way.at(-1)) {
    const next = top.node.next[top.at++];
    if (next === undefined) {
      way.pop();
      leave(top.node, top.mark);
      continue;
    }
    const mark = marks.get(next);
    if (mark === undefined) enter(next);
    else if (mark.open) top.mark.low = Math.min(top.mark.low, mark.order);
  }
  return found;
}
