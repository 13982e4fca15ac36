// SPDX-License-Identifier: Apache-2.0

import { isChosenByXen, type Names } from "../names.ts";
import type { Call, Command, Process, Recording } from "../recording.ts";
import { verb } from "../roles.ts";
import { add, type Comparator, type Facts } from "./facts.ts";

/**
 * (4) Calls that change the hypervisor's state, per process and in order, with
 * arguments and results. Not among them: questions, notifications, and mapping
 * a domain's pages, which ends with the process and is cut up by file sizes.
 */
export const hypercalls: Comparator = {
  name: "hypercalls",
  facts({ recording, names }) {
    const facts: Facts = new Map();
    const counts = new Map<string, number>();
    for (const process of recording.processes) {
      const lines = changing(names, process);
      if (lines.length === 0) continue;
      const owner = ownerOf(recording, process);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      for (const line of lines)
        add(facts, process.commandLine ? `${owner}, process ${counts.get(owner)}` : owner, line);
    }
    return facts;
  },
};

const CHANGING = new Set([
  ...[
    "createdomain",
    "destroydomain",
    "pausedomain",
    "unpausedomain",
    "resumedomain",
    "max_vcpus",
    "max_mem",
    "setvcpuaffinity",
    "setnodeaffinity",
  ].map(domctl),
  ...[
    "setdomainhandle",
    "settscinfo",
    "set_cpu_policy",
    "set_address_size",
    "setvcpucontext",
    "set_ext_vcpucontext",
    "setvcpuextstate",
    "set_vcpu_msrs",
  ].map(domctl),
  ...[
    "sendtrigger",
    "soft_reset",
    "set_max_evtchn",
    "iomem_permission",
    "ioport_permission",
    "irq_permission",
  ].map(domctl),
  ...[
    "claim_pages",
    "populate_physmap",
    "decrease_reservation",
    "increase_reservation",
    "set_memory_map",
    "exchange",
  ].map((name) => `memory_op ${name}`),
  ...["alloc_unbound", "bind_interdomain", "close", "reset"].map((name) => `evtchn_op ${name}`),
  ...["BIND_VIRQ", "BIND_INTERDOMAIN", "BIND_UNBOUND_PORT", "UNBIND"].map((name) => `evtchn ${name}`),
  "gntdev MAP_GRANT_REF",
  "gntdev UNMAP_GRANT_REF",
  "mmuext_op",
  "sysctl debug_keys",
]);

function domctl(name: string): string {
  return `domctl ${name}`;
}

/** Whether this comparator reads a call. */
export function isStateChanging(call: Call): boolean {
  return CHANGING.has(call.name);
}

function changing(names: Names, process: Process): string[] {
  const ports = new Map<string, string>();
  const lines: string[] = [];
  let batch: { dom: string; flags: string; asked: number; got: number } | null = null;
  const flush = (): void => {
    if (batch)
      lines.push(
        `memory_op populate_physmap dom=${batch.dom} order=0 flags=${batch.flags}: ` +
          `${batch.asked} pages in all = ${batch.got} in all`,
      );
    batch = null;
  };
  for (const call of process.calls) {
    if (!isStateChanging(call)) continue;
    if (!isPageByPage(call)) {
      flush();
      lines.push(described(names, ports, call));
      continue;
    }
    const dom = names.domid(call.args["dom"] ?? "");
    const flags = call.args["flags"] ?? "";
    if (batch && (batch.dom !== dom || batch.flags !== flags)) flush();
    batch ??= { dom, flags, asked: 0, got: 0 };
    batch.asked += Number(call.args["nr"]);
    batch.got += call.result;
  }
  flush();
  return lines;
}

/** A restore populates what each batch of the stream needs: only the sum is not an accident of the stream. */
function isPageByPage(call: Call): boolean {
  return call.name === "memory_op populate_physmap" && call.args["order"] === "0";
}

function described(names: Names, ports: Map<string, string>, call: Call): string {
  const args = Object.entries(call.args).map(([name, value]) => {
    if (name === "dom") return `dom=${isChosenByXen(call) ? "any" : names.domid(value)}`;
    if (call.name === "evtchn UNBIND" && name === "port") return `port=${ports.get(value) ?? value}`;
    return `${name}=${/^0x[0-9a-f]+$/.test(value) ? Number(value) : value}`;
  });
  let result = `${call.result}`;
  if (call.name === "evtchn BIND_INTERDOMAIN" && call.result >= 0) {
    ports.set(result, `local port for ${args.join(" ")}`);
    result = "a local port";
  }
  const out = call.name === "domctl createdomain" || call.name === "evtchn_op alloc_unbound" ? call.out : "";
  const given = out.replace(/domid=(\d+)/, (_, domid: string) => `domid=${names.domid(domid)}`);
  return [
    call.name,
    ...args,
    "=",
    result,
    ...(call.errno === null ? [] : [`errno=${call.errno}`]),
    ...(given ? ["=>", given] : []),
  ].join(" ");
}

/** `xl create [1]` for a process of that command or one that it left behind; a daemon's name. */
export function ownerOf(recording: Recording, process: Process): string {
  if (!process.commandLine) return process.program;
  const commands = recording.commands.filter((entry): entry is Command => entry.kind === "command");
  const began = process.calls[0]?.time ?? 0;
  const helper = process.program.startsWith("libxl-save");
  const index = commands.findLastIndex(
    (command) => command.start <= began && (helper || command.line === process.commandLine),
  );
  return index < 0
    ? process.commandLine
    : `${verb(commands[index]!.line)} [${index + 1}]${helper ? " helper" : ""}`;
}
