// SPDX-License-Identifier: Apache-2.0

import { renamePaths, type Names } from "../names.ts";
import type { Command } from "../recording.ts";
import { add, type Comparator, type Facts } from "./facts.ts";

/** (6) What xl said, on which stream, with which exit code; and what the process it left behind logged. */
export const words: Comparator = {
  name: "words",
  facts({ recording, names }) {
    const facts: Facts = new Map();
    let count = 0;
    for (const entry of recording.commands) {
      if (entry.kind === "note") {
        add(facts, "session", `# ${renameWords(names, entry.text)}`);
        continue;
      }
      const line = renameCommand(names, entry.line);
      const list = `[${++count}] ${line}`;
      add(facts, "session", `$ ${line} → exit code ${entry.exitCode}`);
      const local = new Map<string, string>();
      for (const text of entry.stdout) add(facts, list, `out| ${output(names, local, entry, text)}`);
      for (const text of entry.stderr) add(facts, list, `err| ${output(names, local, entry, text)}`);
    }
    for (const log of recording.monitorLogs) {
      const local = new Map<string, string>();
      for (const text of log.lines)
        add(facts, `log ${log.name}`, renamePointers(local, renameWords(names, text)));
    }
    return facts;
  },
};

/** The command line: a domid can only be the first word after the verb. */
function renameCommand(names: Names, line: string): string {
  return line.replace(
    /^(xl (?:-\S+ )*[a-z-]+ (?:-\S+ )*)(\d+)\b/,
    (_, before: string, domid: string) => before + names.domid(domid),
  );
}

function output(names: Names, local: Map<string, string>, command: Command, text: string): string {
  const verb = command.line
    .split(" ")
    .slice(1)
    .find((word) => !word.startsWith("-"));
  if (/^(Domain-0|\(null\)|\S+) +\d/.test(text)) {
    if (verb === "list") return renameListRow(names, text);
    if (verb === "vcpu-list") return renameVcpuRow(names, text);
  }
  if (verb === "block-list" || verb === "network-list") return renameDeviceRow(names, text);
  if (verb === "uptime") return renameUptimeRow(names, text);
  if (verb === "domid" && /^\d+$/.test(text)) return names.domid(text);
  if (command.line.endsWith("domid-history"))
    return text.replace(/^\d+ (\d+)$/, (_, domid: string) => `TIME ${names.domid(domid)}`);
  return renamePointers(local, renameWords(names, text.replace(/^\s+\d+\.\d{3} /, "TIME ")));
}

/** Domids, UUIDs and machine sizes in running text; a C file and line are no words. */
function renameWords(names: Names, text: string): string {
  const domid = (_: string, before: string, id: string): string => before + names.domid(id);
  return renamePaths(names, text)
    .replace(/\b\w+\.c:\d+:/g, "")
    .replace(
      /(\b[Dd]omain '?|\bdom(?:id)?[ =]|"domid": |\bdomid_out=|destroydomain\(|domain id ')(\d+)\b/g,
      domid,
    )
    .replace(/(domid \S+ -> |consecutive domids: \S+ )(\d+)/, domid)
    .replace(/(consecutive domids: )(\d+)/, domid)
    .replace(/\bpid (\d+)/g, "pid N")
    .replace(/ \[\d+\] exited /, " [N] exited ")
    .replace(/("(?:max|target)_memkb": )(13107(?:20|19))/, "$1MACHINE");
}

/** Addresses and machine frames, by first use within one output. */
function renamePointers(local: Map<string, string>, text: string): string {
  // What -vvv prints is not compared, and must not take part in the counting.
  if (/: (?:debug|detail): /.test(text)) return text;
  return text.replace(/\b0x[0-9a-f]{8,}\b|(?<=\bmfn )0x[0-9a-f]+\b/g, (pointer) => {
    if (!local.has(pointer)) local.set(pointer, `POINTER${local.size + 1}`);
    return local.get(pointer)!;
  });
}

/** `xl list`: name, domid, memory, vCPUs, state, CPU seconds. Dom0's size is the machine's, `r` and `b` are sampled. */
function renameListRow(names: Names, text: string): string {
  return renamePaths(names, text).replace(
    /^(.{40})( +\d+)( +\d+)( +\d+)( +)([rbpscd-]{6})( +[\d.]+)/,
    (
      _,
      name: string,
      domid: string,
      memory: string,
      vcpus: string,
      gap: string,
      state: string,
      time: string,
    ) => {
      const machine = name.trim() === "Domain-0";
      const size = machine ? aligned(memory, "M") + aligned(vcpus, "N") : memory + vcpus;
      return (
        name +
        aligned(domid, names.domid(domid.trim())) +
        size +
        gap +
        state.replaceAll(/[rb]/g, "-") +
        aligned(time, "TIME")
      );
    },
  );
}

/** `xl vcpu-list`: name, domid, vCPU, CPU, state, CPU seconds. */
function renameVcpuRow(names: Names, text: string): string {
  return text.replace(
    /^(.{32})( +\d+)( +\d+)( +[\d-]+)( +)([rbp-]{3})( +[\d.]+)/,
    (_, name: string, domid: string, vcpu: string, cpu: string, gap: string, state: string, time: string) =>
      name +
      aligned(domid, names.domid(domid.trim())) +
      vcpu +
      aligned(cpu, "CPU") +
      gap +
      state.replaceAll(/[rb]/g, "-") +
      aligned(time, "TIME"),
  );
}

/** `xl block-list`, `xl network-list`: the frontend's event channels and ring references, as the store has them. */
function renameDeviceRow(names: Names, text: string): string {
  const domain = /\/backend\/v\w+\/(\d+)\//.exec(text)?.[1];
  if (domain === undefined) return renameWords(names, text);
  const owner = names.domid(domain);
  const ref = (id: string): string => names.nth(`${owner}:ref`, id);
  const row = text
    .replace(
      /^(\d+ +\d+ +\d+ +\d +)(\d+)( +)(\d+)( +)(?=\/)/,
      (_, head: string, port: string, gap: string, ring: string) =>
        `${head}${names.nth(`${owner}:port`, port)}${gap}${ref(ring)} `,
    )
    .replace(/(\d+)\/(\d+)( +)(?=\/local)/, (_, tx: string, rx: string) => `${ref(tx)}/${ref(rx)} `);
  return renameWords(names, row);
}

/** `xl uptime`: name, domid, time, whose hours are two characters wide. */
function renameUptimeRow(names: Names, text: string): string {
  return renameWords(names, text).replace(
    /^(.{32})( +\d+)( +?)(?:\d+ days?, )?[ \d]?\d:\d\d:\d\d/,
    (_, name: string, domid: string, gap: string) =>
      `${name}${aligned(domid, names.domid(domid.trim()))}${gap}TIME`,
  );
}

/** `name` in a column as wide as `cell` was. */
function aligned(cell: string, name: string): string {
  return name.padStart(cell.length);
}
