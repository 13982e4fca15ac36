// SPDX-License-Identifier: Apache-2.0
//
// What dom0's own tools print: xl list, ps, /proc/PID/stack, ethtool -S.

/** A row of `xl list`. */
export interface ListRow {
  name: string;
  domid: number;
  memoryMiB: number;
  state: string;
}

const LIST_ROW = /^(\S.*?) +(\d+) +(\d+) +(\d+)\s+([r-][b-][p-][s-][-rscwS][d-])\s+[\d.]+/;

/** Rows of `xl list`, the last table's where there are several. */
export function parseList(lines: readonly string[]): Map<number, ListRow> | null {
  let rows: Map<number, ListRow> | null = null;
  for (const line of lines) {
    if (/^Name +ID +Mem VCPUs\s+State/.test(line)) rows = new Map();
    const [, name, domid, memory, , state] = LIST_ROW.exec(line) ?? [];
    if (name === undefined || state === undefined) continue;
    rows ??= new Map();
    rows.set(Number(domid), { name, domid: Number(domid), memoryMiB: Number(memory), state });
  }
  return rows;
}

/** A thread in uninterruptible sleep, from `ps`. */
export interface StuckThread {
  pid: number;
  command: string;
}

/** Kernel threads and processes in state D, by any layout of `ps` that has PID, STAT and COMMAND. */
export function parsePs(lines: readonly string[]): StuckThread[] {
  const found: StuckThread[] = [];
  for (const line of lines) {
    const [, pid, command] =
      /^\s*(?:\S+\s+)?(\d+)\s+(?:\S+\s+)*?D[<NLsl+]*\s+(?:\S+\s+)*?(\[.+\]|\S+)\s*$/.exec(line) ?? [];
    if (pid !== undefined && command !== undefined) found.push({ pid: Number(pid), command });
  }
  return found;
}

/** The functions of each kernel stack in a text, innermost first. */
export function parseStacks(lines: readonly string[]): string[][] {
  const stacks: string[][] = [];
  let stack: string[] | null = null;
  for (const line of lines) {
    const frame = /^\s*\[<[0-9a-f]*>\] ([\w.]+)/.exec(line)?.[1];
    if (frame === undefined) stack = null;
    else if (frame.startsWith("0x")) continue;
    else if (stack === null) stacks.push((stack = [frame]));
    else stack.push(frame);
  }
  return stacks;
}

/** Zero-copy counters of one interface. */
export interface ZerocopyCounters {
  sent: number;
  success: number;
  fail: number;
}

/** `tx_zerocopy_*` of `ethtool -S`, or null where the text has none. */
export function parseEthtool(lines: readonly string[]): ZerocopyCounters | null {
  const value = (name: string): number | null => {
    const pattern = new RegExp(`^ *tx_zerocopy_${name}: *(\\d+)`);
    const found = lines.map((line) => pattern.exec(line)?.[1]).findLast((text) => text !== undefined);
    return found === undefined ? null : Number(found);
  };
  const [sent, success, fail] = [value("sent"), value("success"), value("fail")];
  return sent === null || success === null || fail === null ? null : { sent, success, fail };
}
