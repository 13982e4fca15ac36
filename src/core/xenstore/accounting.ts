// SPDX-License-Identifier: Apache-2.0
//
// Who holds how much, and how near that is to a limit: for CONTROL quota, for
// metrics, for whoever asks why a domain is not served.

import { type Cells, must } from "../engine/cells.ts";
import { connectionType } from "./connection.ts";
import { isIntroduced, knownDomains } from "./domain.ts";
import { transactionType } from "./transaction-cells.ts";
import { outputType } from "./output.ts";
import { ownerOf } from "./perms.ts";
import { accountOf, exceeds, isUnprivilegedDomid, limitsOf, settingsOf } from "./quota.ts";
import { recordSize } from "./node.ts";
import { listBytes } from "./list.ts";
import { childrenList, nodeType } from "./tree.ts";
import { watchCount } from "./watch.ts";
import { isOverdrawn } from "./write-rate.ts";

/** What a domain holds, in the order in which CONTROL quota of 4.17 prints it. */
export interface Holdings {
  readonly nodes: number;
  readonly watches: number;
  readonly transactions: number;
  /** Requests whose reply, or an event they caused, is not yet taken. */
  readonly outstanding: number;
  /** Bytes. */
  readonly memory: number;
}

/** What a known domain holds. For a privileged one the store is walked: nothing is counted as it goes. */
export function holdings(cells: Cells, domid: number): Holdings {
  const transactions = isIntroduced(cells, domid)
    ? must(cells, connectionType, domid).transactions.length
    : 0;
  const { nodes, watches, outstanding, memory } = isUnprivilegedDomid(cells, domid)
    ? accountOf(cells, domid)
    : privilegedHoldings(cells, domid);
  return { nodes, watches, transactions, outstanding, memory };
}

function privilegedHoldings(cells: Cells, domid: number): Omit<Holdings, "transactions"> {
  let nodes = 0;
  let memory = 0;
  for (const id of cells.ids(nodeType)) {
    const path = String(id);
    const { perms, value } = must(cells, nodeType, path);
    if (ownerOf(perms) !== domid) continue;
    nodes++;
    memory += path.length + recordSize(cells, perms, value.length, listBytes(cells, childrenList, path));
  }
  const output = cells.get(outputType, domid);
  return {
    nodes,
    watches: watchCount(cells, domid),
    outstanding: output?.messages.length ?? 0,
    memory: memory + (output?.bytes ?? 0),
  };
}

/** Why xenstored does not read from a domain: what it holds too much of, or that it broke the protocol. */
export type Stall = "ignored" | "outstanding" | "memory" | "write-rate";

/** One domain for a report. */
export interface DomainAccount {
  readonly domid: number;
  readonly introduced: boolean;
  readonly privileged: boolean;
  readonly held: Holdings;
  /** 0 for no limit; a privileged domain has none. */
  readonly limits: Holdings;
  /** Bytes from which its memory is told to the log, or 0. */
  readonly softMemory: number;
  readonly stalled: Stall | null;
}

const unlimited: Holdings = { nodes: 0, watches: 0, transactions: 0, outstanding: 0, memory: 0 };

/** Every known domain, by domid. The cost is that of the domains, but for privileged ones that of the store. */
export function domainAccounts(cells: Cells): DomainAccount[] {
  return [...knownDomains(cells)]
    .sort((a, b) => a - b)
    .map((domid) => {
      const privileged = !isUnprivilegedDomid(cells, domid);
      const {
        nodes,
        watches,
        transactions,
        outstanding,
        memory,
        "soft-memory": softMemory,
      } = limitsOf(cells, domid);
      return {
        domid,
        introduced: isIntroduced(cells, domid),
        privileged,
        held: holdings(cells, domid),
        limits: privileged ? unlimited : { nodes, watches, transactions, outstanding, memory },
        softMemory: privileged ? 0 : softMemory,
        stalled: stallOf(cells, domid),
      };
    });
}

/** Why a domain is not read from now, or null. */
export function stallOf(cells: Cells, domid: number): Stall | null {
  const connection = cells.get(connectionType, domid);
  if (connection === undefined) return null;
  if (connection.ignored) return "ignored";
  if (connection.privileged) return null;
  const { outstanding, memory } = accountOf(cells, domid);
  if (isOverdrawn(cells, domid)) return "write-rate";
  if (exceeds(cells, domid, "outstanding", outstanding)) return "outstanding";
  return exceeds(cells, domid, "memory", memory) ? "memory" : null;
}

/** Totals of the whole store: what it is made of. */
export interface StoreTotals {
  readonly nodes: number;
  readonly connections: number;
  readonly watches: number;
  readonly transactions: number;
  /** Replies and events that wait to be taken. */
  readonly messages: number;
  readonly messageBytes: number;
}

/** What is there in all; the cost is that of the connections. */
export function storeTotals(cells: Cells): StoreTotals {
  let messages = 0;
  let messageBytes = 0;
  for (const conn of cells.ids(outputType)) {
    const output = must(cells, outputType, conn);
    messages += output.messages.length;
    messageBytes += output.bytes - output.taken;
  }
  let watches = 0;
  for (const conn of cells.ids(connectionType)) watches += watchCount(cells, Number(conn));
  return {
    nodes: cells.count(nodeType),
    connections: cells.count(connectionType),
    watches,
    transactions: cells.count(transactionType),
    messages,
    messageBytes,
  };
}

/** What CONTROL memreport writes: totals, then each domain. C xenstored prints its allocator's blocks instead. */
export function memoryReport(cells: Cells): string {
  const { version } = settingsOf(cells);
  const totals = Object.entries(storeTotals(cells)).map(([name, count]) => `${name.padEnd(16)}: ${count}\n`);
  const domains = domainAccounts(cells).map(({ domid, held, stalled }) => {
    const counts = Object.entries(held).map(([name, count]) => `${name} ${count}`);
    return `domain ${domid}: ${counts.join(", ")}${stalled === null ? "" : `; not read from: ${stalled}`}\n`;
  });
  return `xenstored as of Xen ${version}\n${totals.join("")}${domains.join("")}`;
}
