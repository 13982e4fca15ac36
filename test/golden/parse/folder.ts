// SPDX-License-Identifier: Apache-2.0

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Process, Recording } from "../recording.ts";
import type { Setting } from "../scenarios/steps.ts";
import { lines, parseCommands } from "./commands.ts";
import { parseDominfo } from "./dominfo.ts";
import { parseCalls } from "./hypercalls.ts";
import { parseSnapshot } from "./snapshot.ts";
import { parseStoreTrace } from "./store-trace.ts";
import { parseWatchLog } from "./watch-log.ts";

/** Reads one recorded scenario. Throws if a file every recording has is missing. */
export function readRecording(folder: string): Recording {
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const snapshots = readdirSync(folder).filter((name) => /^xs-.*\.txt$/.test(name));
  return {
    scenario: basename(folder),
    commands: parseCommands(read("commands.log"), read),
    domains: parseDominfo(read("dominfo.log")),
    store: parseStoreTrace(read("xenstored-trace.log")),
    watch: parseWatchLog(read("watch.log")),
    processes: [...processesIn(join(folder, "hc")), ...processesIn(join(folder, "daemons"))],
    snapshots: snapshots.map((name) => parseSnapshot(name.slice("xs-".length, -".txt".length), read(name))),
    monitorLogs: logsIn(join(folder, "xl-logs")),
  };
}

/** Reads `meta.txt`: how the scenario was set. */
export function readSetting(folder: string): Setting {
  const text = readFileSync(join(folder, "meta.txt"), "utf8");
  const type = /\bgtype=(\w+)/.exec(text)?.[1] ?? "pv";
  const store = /\bstore=(\w+)/.exec(text)?.[1] ?? "xenstored";
  if (type !== "pv" && type !== "pvh")
    throw new Error(`guests of type ${type}: only pv and pvh can be compared`);
  if (store !== "xenstored")
    throw new Error(`recorded with ${store}, whose trace is another: only C xenstored's is read`);
  return { type, listing: /\blist=1\b/.test(text) };
}

/** Processes in the order in which they first called Xen. */
function processesIn(folder: string): Process[] {
  return files(folder)
    .map((name) => parseCalls(name, readFileSync(join(folder, name), "utf8")))
    .sort((a, b) => (a.calls[0]?.time ?? 0) - (b.calls[0]?.time ?? 0));
}

function logsIn(folder: string): Recording["monitorLogs"] {
  return files(folder).map((name) => ({ name, lines: lines(readFileSync(join(folder, name), "utf8")) }));
}

function files(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
