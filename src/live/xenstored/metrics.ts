// SPDX-License-Identifier: Apache-2.0
//
// What the daemon does and holds, as Prometheus reads it. Requests are counted
// as they come, all else is looked up when somebody asks; nothing of it costs
// anything where nobody asked for metrics.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cells } from "../../core/engine/cells.ts";
import { holdings, stallOf } from "../../core/xenstore/accounting.ts";
import { knownDomains } from "../../core/xenstore/domain.ts";
import { outputType } from "../../core/xenstore/output.ts";
import { isUnprivilegedDomid, limitsOf, settingsOf } from "../../core/xenstore/quota.ts";
import { storeTotals, type TraceLine } from "../../core/xenstore/store.ts";
import { typeName, XS } from "../../core/xenstore/wire.ts";
import { Problem, systemWords } from "../problem.ts";
import { descriptors } from "./descriptors.ts";
import type { Journal } from "./journal.ts";

/** A connection that takes no replies is forgotten this many requests of. */
const UNANSWERED_MAX = 4096;

/** Counts what is received and sent. */
export class MessageCounts {
  readonly requests = new Map<number, number>();
  /** Error replies by the request's type, then by the error's name. */
  readonly errors = new Map<number, Map<string, number>>();
  events = 0;
  /** Requests without a reply yet, by connection: identifier and type, in turn. */
  readonly #unanswered = new Map<number, number[]>();

  /** For Store.observe. */
  readonly observe = ({ kind, conn, type, reqId, body }: TraceLine): void => {
    if (kind === "in") {
      this.requests.set(type, (this.requests.get(type) ?? 0) + 1);
      const waiting = this.#unanswered.get(conn) ?? [];
      if (waiting.length >= 2 * UNANSWERED_MAX) waiting.splice(0, 2);
      waiting.push(reqId, type);
      this.#unanswered.set(conn, waiting);
    } else if (kind === "out") this.#sent(conn, type, reqId, body);
    else this.#unanswered.delete(conn);
  };

  #sent(conn: number, type: number, reqId: number, body: string): void {
    if (type === XS.WATCH_EVENT) {
      this.events++;
      return;
    }
    const requested = this.#answered(conn, reqId);
    if (type !== XS.ERROR || requested === undefined) return;
    const ofType = this.errors.get(requested) ?? new Map<string, number>();
    const name = body.slice(0, -1);
    ofType.set(name, (ofType.get(name) ?? 0) + 1);
    this.errors.set(requested, ofType);
  }

  /** The type of the request that a reply is to. Nearly always that is the oldest. */
  #answered(conn: number, reqId: number): number | undefined {
    const waiting = this.#unanswered.get(conn) ?? [];
    for (let at = 0; at < waiting.length; at += 2) if (waiting[at] === reqId) return waiting.splice(at, 2)[1];
    return undefined;
  }
}

type Labels = Readonly<Record<string, string | number>>;

/** Text in the format of Prometheus, version 0.0.4. */
class Exposition {
  #text = "";

  add(
    name: string,
    type: "counter" | "gauge",
    help: string,
    samples: readonly (readonly [labels: Labels, value: number])[],
  ): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const [labels, value] of samples) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      this.#text += `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
    }
  }

  get text(): string {
    return this.#text;
  }
}

/** What is to be told of. */
export interface MetricsSources {
  /** The store's state, to be looked at. */
  readonly cells: Cells;
  readonly counts: MessageCounts;
  readonly journal: Journal | undefined;
}

/** The whole page. The cost is that of the connections and the unprivileged domains. */
export function metricsText({ cells, counts, journal }: MetricsSources): string {
  const page = new Exposition();
  const { version, conflicts } = settingsOf(cells);
  page.add("xenstored_info", "gauge", "What this xenstored is.", [[{ version, conflicts }, 1]]);
  addMessages(page, counts);
  addStore(page, cells);
  addDomains(page, cells);
  if (journal !== undefined) addJournal(page, journal);
  addProcess(page);
  return page.text;
}

function labelOf(type: number): string {
  return typeName(type).replaceAll("*", "");
}

function addMessages(page: Exposition, { requests, errors, events }: MessageCounts): void {
  page.add(
    "xenstored_requests_total",
    "counter",
    "Requests received, by type.",
    [...requests].map(([type, count]) => [{ type: labelOf(type) }, count]),
  );
  page.add(
    "xenstored_errors_total",
    "counter",
    "Error replies sent, by the request's type and the error.",
    [...errors].flatMap(([type, names]) =>
      [...names].map(([error, count]) => [{ type: labelOf(type), error }, count] as const),
    ),
  );
  page.add("xenstored_watch_events_total", "counter", "Watch events sent.", [[{}, events]]);
}

function addStore(page: Exposition, cells: Cells): void {
  const { nodes, connections, watches, transactions, messages, messageBytes } = storeTotals(cells);
  const gauges: readonly (readonly [name: string, help: string, value: number])[] = [
    ["nodes", "Nodes in the store.", nodes],
    ["connections", "Connections: sockets, and domains that are introduced.", connections],
    ["watches", "Watches.", watches],
    ["transactions", "Open transactions.", transactions],
    ["waiting_messages", "Replies and events that wait to be taken.", messages],
    ["waiting_bytes", "Bytes of replies and events that wait to be taken.", messageBytes],
  ];
  for (const [name, help, value] of gauges) page.add(`xenstored_${name}`, "gauge", help, [[{}, value]]);
}

function addDomains(page: Exposition, cells: Cells): void {
  const domids = knownDomains(cells)
    .filter((domid) => isUnprivilegedDomid(cells, domid))
    .toSorted((a, b) => a - b);
  const held = domids.map((domid) => [domid, Object.entries(holdings(cells, domid))] as const);
  page.add(
    "xenstored_domain_quota_used",
    "gauge",
    "What an unprivileged domain holds, by quota.",
    held.flatMap(([domid, counts]) => counts.map(([quota, count]) => [{ domid, quota }, count] as const)),
  );
  page.add(
    "xenstored_domain_quota_limit",
    "gauge",
    "What it may hold; 0 for no limit.",
    held.flatMap(([domid, counts]) => {
      const limits: ReadonlyMap<string, number> = new Map(Object.entries(limitsOf(cells, domid)));
      return counts.map(([quota]) => [{ domid, quota }, limits.get(quota) ?? 0] as const);
    }),
  );
  page.add(
    "xenstored_domain_events_timed_out_total",
    "counter",
    "Watch events dropped as the domain did not take them in time.",
    domids.flatMap((domid) => {
      const output = cells.get(outputType, domid);
      return output === undefined ? [] : [[{ domid }, output.timedOut] as const];
    }),
  );
  page.add(
    "xenstored_domain_stalled",
    "gauge",
    "1 for a domain that is not read from, and why.",
    domids.flatMap((domid) => {
      const why = stallOf(cells, domid);
      return why === null ? [] : [[{ domid, why }, 1] as const];
    }),
  );
}

function addJournal(page: Exposition, journal: Journal): void {
  const { bytes, frames, syncs, compactions, compacting } = journal.statistics;
  page.add("xenstored_journal_bytes", "gauge", "Size of the journal.", [[{}, bytes]]);
  page.add("xenstored_journal_frames_total", "counter", "Turns whose changes were written.", [[{}, frames]]);
  page.add("xenstored_journal_syncs_total", "counter", "Times the disk was waited for.", [[{}, syncs]]);
  page.add("xenstored_journal_compactions_total", "counter", "Times it was compacted.", [[{}, compactions]]);
  page.add("xenstored_journal_compacting", "gauge", "1 while a new one is written.", [
    [{}, compacting ? 1 : 0],
  ]);
}

function addProcess(page: Exposition): void {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  page.add("process_resident_memory_bytes", "gauge", "Resident memory.", [[{}, rss]]);
  page.add("xenstored_heap_used_bytes", "gauge", "JavaScript heap in use.", [[{}, heapUsed]]);
  page.add("process_cpu_seconds_total", "counter", "CPU time used.", [[{}, (user + system) / 1e6]]);
  const files = descriptors();
  if (files !== null) {
    page.add("process_open_fds", "gauge", "File descriptors in use.", [[{}, files.open]]);
    page.add("process_max_fds", "gauge", "File descriptors it may have.", [[{}, files.max]]);
  }
  page.add("process_start_time_seconds", "gauge", "When the process started.", [
    [{}, Math.round(performance.timeOrigin) / 1000],
  ]);
}

/**
 * Serves the page at /metrics, to this machine only. Resolves once it listens, with
 * its port; rejects with a Problem where it cannot.
 */
export async function serveMetrics(
  port: number,
  sources: () => MetricsSources,
): Promise<{ port: number; server: Server }> {
  const server = createServer((request, response) => {
    const isOurs = request.url === "/metrics" && request.method === "GET";
    response.writeHead(isOurs ? 200 : 404, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(isOurs ? metricsText(sources()) : "Try: GET /metrics\n");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const what = `cannot serve metrics at 127.0.0.1:${port}: ${systemWords(error)}`;
      reject(new Problem(what, "--metrics 0, for any port that is free"));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return { port: (server.address() as AddressInfo).port, server: server.unref() };
}
