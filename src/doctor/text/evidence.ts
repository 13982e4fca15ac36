// SPDX-License-Identifier: Apache-2.0
//
// All that captured text says of a host. What is not in it is null: unknown,
// which is not the same as none.

import { parseG } from "./debug-g.ts";
import type { GDump } from "./debug-g.ts";
import { parseQ } from "./debug-q.ts";
import type { QDump } from "./debug-q.ts";
import { parseEthtool, parseList, parsePs, parseStacks } from "./dom0.ts";
import type { ListRow, StuckThread, ZerocopyCounters } from "./dom0.ts";

export interface TextEvidence {
  q: QDump | null;
  g: GDump | null;
  list: ReadonlyMap<number, ListRow> | null;
  stuck: readonly StuckThread[];
  stacks: readonly (readonly string[])[];
  zerocopy: ZerocopyCounters | null;
}

/** What terminals and mail put into text: colours, and quotation marks in front. */
// eslint-disable-next-line no-control-regex -- colours begin with one
const DECORATION = /\u001b\[[\d;?]*[A-Za-z]|^(?:[>|] ?)+/g;

/**
 * Before Xen's lines in `xl dmesg` and serial logs: whatever who passed them on put there (a time, a host's name), and
 * Xen's own time. `[8]` alone is a grant's number.
 */
const XEN_PREFIX = /^.*?\(XEN\) (?:\[[\d :-]*[.:][\d .:-]*\] )?/;

/** Reads captured text: any mixture of logs and outputs, in the order they were made. */
export function readText(text: string): TextEvidence {
  const lines = text.split(/\r?\n/).map((line) => line.replaceAll(DECORATION, ""));
  const xen = lines.map((line) => line.replace(XEN_PREFIX, ""));
  return {
    q: parseQ(xen),
    g: parseG(xen),
    list: parseList(lines),
    stuck: parsePs(lines),
    stacks: parseStacks(lines),
    zerocopy: parseEthtool(lines),
  };
}

/** Whether there is anything in it to go by. */
export function saysAnything({ q, g, list, stuck, stacks, zerocopy }: TextEvidence): boolean {
  return q !== null || g !== null || list !== null || zerocopy !== null || stuck.length + stacks.length > 0;
}
