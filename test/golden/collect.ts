// SPDX-License-Identifier: Apache-2.0
//
// Turns what our host traces into the same lists that the recordings' tools
// wrote. Times count what was collected, a second each: our order is exact, and
// the comparators' allowance for unsure times does not apply to it.

import { constants } from "node:os";
import type { TraceRecord } from "../../src/core/engine/trace.ts";
import { flagString, type getdomaininfo } from "../../src/core/hypervisor/dominfo.ts";
import type { Call, Process, Recording, Time } from "./recording.ts";

type DomainInfo = ReturnType<typeof getdomaininfo>;
type Data<K extends TraceRecord["kind"]> = Extract<TraceRecord, { kind: K }>["data"];

/** What a process of dom0 has said and how it ended. */
export interface Output {
  stdout: string;
  stderr: string;
  status: number | null;
}

/** Collects a run. */
export class Collector {
  readonly recording: Recording;
  readonly outputs = new Map<string, Output>();
  /** The process that was started last. */
  lastStarted = "";
  readonly #processes = new Map<string, Process>();
  readonly #logs = new Map<string, { process: string; text: string }>();
  readonly #domains = new Map<number, DomainInfo>();
  #time: Time = 0;

  constructor(scenario: string) {
    this.recording = {
      scenario,
      commands: [],
      domains: [],
      store: [],
      watch: [],
      processes: [],
      snapshots: [],
      monitorLogs: [],
    };
  }

  /** The time of what is collected next. */
  tick(): Time {
    this.#time += 1000;
    return this.#time;
  }

  /** Takes one event of the host's trace. */
  take(record: TraceRecord): void {
    switch (record.kind) {
      case "process.exec":
        this.#exec(record.data);
        break;
      case "process.exit":
        this.#output(record.data.process).status = record.data.status;
        break;
      case "stdout":
      case "stderr":
        this.#output(record.data.process)[record.kind] += record.data.text;
        break;
      case "log":
        this.#log(record.data);
        break;
      case "xenstore":
        this.#message(record.data);
        break;
      case "hypercall":
        this.#call(record.data);
        break;
      default:
    }
  }

  /** Compares all domains but dom0 with how they were (domsample.c). */
  sample(domains: readonly DomainInfo[]): void {
    for (const info of domains) {
      const before = this.#domains.get(info.domid);
      const isNew = before?.handle !== info.handle;
      if (!isNew && !changed(before, info)) continue;
      this.recording.domains.push({
        time: this.tick(),
        change: isNew ? "NEW" : "CHG",
        domid: info.domid,
        fields: sampledFields(info),
      });
      this.#domains.set(info.domid, info);
    }
    for (const domid of this.#domains.keys()) {
      if (domains.some((info) => info.domid === domid)) continue;
      this.recording.domains.push({ time: this.tick(), change: "GONE", domid, fields: {} });
      this.#domains.delete(domid);
    }
  }

  /** Leaves out what a process called. */
  forgetCalls(process: string): void {
    this.#processes.delete(short(process));
  }

  /** The recording, once nothing more happens. */
  finish(): Recording {
    this.recording.processes = [...this.#processes.values()].filter((process) => process.calls.length > 0);
    this.recording.monitorLogs = [...this.#logs]
      .map(([file, { text }]) => ({ name: file.split("/").at(-1)!, lines: textLines(text) }))
      .filter(({ name }) => /^xl-.*\.log$/.test(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.recording;
  }

  /** A process that opens a log moves an older one out of the way (libxl_create_logfile). */
  #log({ process, file, text }: Data<"log">): void {
    const log = this.#logs.get(file);
    if (log?.process === process) log.text += text;
    else this.#logs.set(file, { process, text });
  }

  #exec({ process, pid, argv }: Data<"process.exec">): void {
    this.lastStarted = process;
    const program = argv[0]!.split("/").at(-1)!.slice(0, COMM_MAX);
    this.#processes.set(short(process), {
      program,
      pid,
      commandLine: this.#commandLine(process, argv),
      calls: [],
    });
    this.#output(process);
  }

  /** A fork keeps its parent's command line; it is named after it, with more behind a `.` or `/`. */
  #commandLine(process: string, argv: readonly string[]): string {
    for (
      let name = short(process);
      argv.length === 1 && name !== "";
      name = name.replace(/[./]?[^./]*$/, "")
    ) {
      const parent = this.#processes.get(name);
      if (parent && parent.commandLine.startsWith(`${argv[0]} `)) return parent.commandLine;
    }
    return argv.join(" ");
  }

  #output(process: string): Output {
    let output = this.outputs.get(process);
    if (!output) this.outputs.set(process, (output = { stdout: "", stderr: "", status: null }));
    return output;
  }

  #message({ dir, conn, op, body }: Data<"xenstore">): void {
    const time = this.tick();
    const connection = String(conn);
    const shown = body.replaceAll("\0", " ");
    if (dir === "create-connection") this.recording.store.push({ time, kind: "connect", connection });
    else if (dir === "destroy-connection")
      this.recording.store.push({ time, kind: "disconnect", connection });
    else
      this.recording.store.push({
        time,
        kind: dir === "in" ? "request" : "reply",
        connection,
        type: op,
        body: shown,
      });
  }

  #call(data: Data<"hypercall">): void {
    const [, name = ""] = /^d0\/(.*)$/.exec(data.caller) ?? [];
    const process = this.#processes.get(short(name)) ?? this.#daemon(name);
    process?.calls.push(asRecorded(this.tick(), process.program, data));
  }

  /** Daemons were there before the collector. */
  #daemon(name: string): Process | undefined {
    if (!DAEMONS.has(name)) return undefined;
    const process: Process = { program: name, pid: 0, commandLine: "", calls: [] };
    this.#processes.set(name, process);
    return process;
  }
}

const DAEMONS = new Set(["xenstored", "xenconsoled"]);

/** TASK_COMM_LEN without the NUL. */
const COMM_MAX = 15;

/** A process's thread is named `dom0/xl.166`, its caller `xl.166`. */
function short(process: string): string {
  return process.replace(/^dom0\//, "");
}

/** Lines of a text, without the empty one after the last newline. */
export function textLines(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** Whether the sampler would print: everything but CPU time, running and blocked. */
function changed(before: DomainInfo, now: DomainInfo): boolean {
  const MASK = ~(16 | 32);
  return (
    (before.flags & MASK) !== (now.flags & MASK) ||
    before.nrOnlineVcpus !== now.nrOnlineVcpus ||
    before.maxVcpuId !== now.maxVcpuId ||
    before.maxPages !== now.maxPages ||
    before.totPages !== now.totPages ||
    before.outstandingPages !== now.outstandingPages ||
    before.sharedInfoFrame !== now.sharedInfoFrame
  );
}

function sampledFields(info: DomainInfo): Record<string, string> {
  return {
    flags: flagString(info.flags),
    code: String((info.flags >>> 16) & 255),
    vcpus: String(info.nrOnlineVcpus),
    maxvcpuid: String(info.maxVcpuId),
    tot: String(info.totPages),
    max: String(info.maxPages),
    outst: String(info.outstandingPages),
    handle: info.handle.replaceAll("-", ""),
  };
}

/** Arguments that the recordings' tracer prints beside the domain; of other calls it prints none. */
const PRINTED: Record<string, string[]> = {
  "domctl createdomain": [
    "ssid",
    "flags",
    "iommu",
    "max_vcpus",
    "max_evtchn_port",
    "gnt_frames",
    "maptrack",
    "grant_opts",
    "vmtrace",
    "cpupool",
    "emul",
    "misc",
  ],
  "domctl max_vcpus": ["max"],
  "domctl max_mem": ["max_memkb"],
  "domctl shadow_op": ["op", "mode", "mb"],
  "memory_op populate_physmap": ["nr", "order", "flags"],
  "memory_op decrease_reservation": ["nr", "order", "flags"],
  "memory_op increase_reservation": ["nr", "order", "flags"],
  "memory_op claim_pages": ["nr"],
  "evtchn_op alloc_unbound": ["remote"],
};

/** Calls of which it prints not even the domain. */
const BARE = /^(mmuext_op|memory_op (set_memory_map|exchange)|sysctl )/;

/** A hypercall as the tracer would have printed it. Daemons call through device files, with names of their own. */
function asRecorded(time: Time, program: string, data: Data<"hypercall">): Call {
  const { op, dom, args, result, out } = data;
  const failed = typeof result === "string";
  const call: Call = {
    time,
    name: op.startsWith("mmuext_op") ? "mmuext_op" : op,
    plain: [],
    args: {},
    result: failed ? -1 : result,
    errno: failed ? constants.errno[result as keyof typeof constants.errno] : null,
    out: Object.entries(out)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  };
  if (DAEMONS.has(program) && asDeviceCall(call, data)) return call;
  if (!BARE.test(op)) call.args["dom"] = String(dom);
  for (const name of PRINTED[op] ?? []) if (args[name] !== undefined) call.args[name] = String(args[name]);
  return call;
}

/** /dev/xen/evtchn and /dev/xen/gntdev. Returns whether it is one of their calls. */
function asDeviceCall(call: Call, { op, dom, args, out }: Data<"hypercall">): boolean {
  const device: [string, Record<string, string>] | undefined = {
    "evtchn_op bind_interdomain": [
      "evtchn BIND_INTERDOMAIN",
      { dom: String(dom), port: String(args["port"] ?? "") },
    ],
    "evtchn_op bind_virq": ["evtchn BIND_VIRQ", { virq: String(args["virq"] ?? "") }],
    "evtchn_op close": ["evtchn UNBIND", { port: String(args["port"] ?? "") }],
    "grant_table_op map_grant_ref": [
      "gntdev MAP_GRANT_REF",
      { n: "1", dom: String(dom), ref: String(args["ref"] ?? "") },
    ],
    "grant_table_op unmap_grant_ref": ["gntdev UNMAP_GRANT_REF", {}],
  }[op] as [string, Record<string, string>] | undefined;
  if (!device) return false;
  [call.name, call.args] = device;
  if (op === "evtchn_op bind_interdomain" && call.errno === null) call.result = out["port"] ?? call.result;
  if (op !== "evtchn_op bind_interdomain" && call.errno === null) call.result = 0;
  call.out = "";
  return true;
}
