// SPDX-License-Identifier: Apache-2.0
//
// How what an operation costs grows with what else there is: nodes, watches,
// connections.

import type { Picture } from "../bench.ts";
import { type Series, svg } from "../plot.ts";
import {
  connectionCaseName,
  connectionCounts,
  treeCaseName,
  treeSizes,
  treeWorkloads,
  watchCaseName,
  watchCounts,
} from "./cases.ts";
import { type DaemonName, daemonNames } from "./daemons.ts";
import type { Result } from "./measure.ts";

const shownNames: Readonly<Record<DaemonName, string>> = { c: "C", ocaml: "oxenstored", ours: "ours" };

function series(
  results: readonly Result[],
  daemon: DaemonName,
  name: string,
  at: readonly { readonly x: number; readonly of: string }[],
): Series[] {
  const points = at.flatMap(({ x, of }) => {
    const found = results.find((result) => result.case.name === of)?.findings.get(daemon);
    return found === undefined || found === null ? [] : [[x, found.micros] as const];
  });
  return points.length < 2 ? [] : [{ name, points }];
}

function picture(file: string, title: string, x: string, lines: readonly Series[]): Picture[] {
  if (lines.length === 0) return [];
  return [{ file, title, svg: svg({ title, x, y: "processor time, µs an operation", series: lines }) }];
}

/** The pictures these results have the points of. */
export function growthPictures(results: readonly Result[]): Picture[] {
  const trees = treeWorkloads.flatMap((workload) =>
    series(
      results,
      "ours",
      workload,
      treeSizes.map(({ nodes, text }) => ({ x: nodes, of: treeCaseName(workload, text) })),
    ),
  );
  const watches = daemonNames.flatMap((daemon) =>
    series(
      results,
      daemon,
      shownNames[daemon],
      watchCounts.map((count) => ({ x: count, of: watchCaseName(count) })),
    ),
  );
  const connections = daemonNames.flatMap((daemon) =>
    series(
      results,
      daemon,
      shownNames[daemon],
      connectionCounts.map((count) => ({ x: count, of: connectionCaseName(count) })),
    ),
  );
  return [
    ...picture("xenstored-nodes.svg", "Ours, in trees of up to a million nodes", "nodes in the tree", trees),
    ...picture(
      "xenstored-watches.svg",
      "A write beside watches that it does not concern",
      "idle watches",
      watches,
    ),
    ...picture(
      "xenstored-connections.svg",
      "A read beside connections that are silent",
      "connections",
      connections,
    ),
  ];
}
