// SPDX-License-Identifier: Apache-2.0
//
// What one run of a scenario left behind, whoever ran it: real Xen (parsed
// from the files in recordings/) or our own host (collected by drive.ts).
// The comparators see only this.

/** Milliseconds; only the order of two times within one list means anything. */
export type Time = number;

/** A command with what it printed, as `commands.log` has it. */
export interface Command {
  kind: "command";
  start: Time;
  end: Time;
  /** The words after `$ `, as typed. */
  line: string;
  stdout: string[];
  stderr: string[];
  exitCode: number;
}

/** A remark of whoever drove the scenario: `guest gb up`, `snapshot NAME`, `dom 2 gone from hypervisor`. */
export interface Note {
  kind: "note";
  start: Time;
  text: string;
}

/** One change that sampling `getdomaininfolist` saw. */
export interface DomainRow {
  time: Time;
  change: "NEW" | "CHG" | "GONE";
  domid: number;
  /** The rest, by name as the sampler prints it (`flags`, `code`, `vcpus`, `tot`, …); empty for GONE. */
  fields: Record<string, string>;
}

/** What xenstored traced: requests and replies by connection, and the connections' coming and going. */
export type StoreLine =
  | { time: Time; kind: "connect"; connection: string }
  | { time: Time; kind: "disconnect"; connection: string }
  | StoreMessage<"request">
  | StoreMessage<"reply">;

export interface StoreMessage<Kind> {
  time: Time;
  kind: Kind;
  connection: string;
  /** `XS_WRITE` without its prefix; a failed request's reply is `ERROR`; events are replies of type `WATCH_EVENT`. */
  type: string;
  /** The payload with every NUL printed as a space. */
  body: string;
}

/** What the watcher process printed: a registration or an event. */
export interface WatchLine {
  time: Time;
  kind: "REGISTER" | "EVENT";
  path: string;
  token: string;
}

/** One call on a Xen device file. */
export interface Call {
  time: Time;
  /** `domctl createdomain`, `memory_op populate_physmap`, `gntdev MAP_GRANT_REF`, … */
  name: string;
  /** Words that are not `name=value`, in order. */
  plain: string[];
  args: Record<string, string>;
  result: number;
  errno: number | null;
  /** What follows `=> `: what the call gave back. */
  out: string;
}

/** All calls of one process, in order. */
export interface Process {
  program: string;
  pid: number;
  /** Empty for a daemon that was running before. */
  commandLine: string;
  calls: Call[];
}

export interface SnapshotNode {
  path: string;
  value: string;
  /** `n0`, `r2`, … in order. */
  permissions: string[];
}

/** `xenstore-ls -fp` at a moment. */
export interface Snapshot {
  name: string;
  nodes: SnapshotNode[];
  /** Nodes went away while the tree was being walked: what is missing says nothing. */
  torn: boolean;
}

/** A log file of `xl create`'s background process. */
export interface MonitorLog {
  name: string;
  lines: string[];
}

export interface Recording {
  /** The folder's name, `b-orderly-shutdown`. */
  scenario: string;
  commands: (Command | Note)[];
  domains: DomainRow[];
  store: StoreLine[];
  watch: WatchLine[];
  processes: Process[];
  snapshots: Snapshot[];
  monitorLogs: MonitorLog[];
}
