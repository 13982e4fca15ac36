// SPDX-License-Identifier: Apache-2.0
//
// What a xenstored needs from outside: cells, a clock, the hypervisor's view of
// domains, and, where somebody wants to see it, a place for its trace.

import type { Cells } from "../engine/cells.ts";
import type { Failure } from "../engine/errno.ts";
import type { CurrentRequest } from "./pending.ts";

/** What getdomaininfo says about a domain that exists. */
export interface DomainInfo {
  /** Shut down, for whatever reason (XEN_DOMINF_shutdown). */
  readonly shutdown: boolean;
  /** `XEN_DOMINF_dying`: its kill is finished. */
  readonly dying: boolean;
}

/** What the first INTRODUCE does to a ring page beside mapping it. */
export interface RingSetup {
  /** To be written into it (`setServerFeatures`); null to leave that alone. */
  readonly features: number | null;
  /** A port in the page (`ringPort`) wins over the request's. */
  readonly pageNamesPort: boolean;
}

/** The hypervisor and the shared pages, as xenstored uses them. All calls are synchronous. */
export interface Domains {
  /** getdomaininfo of one domain; undefined where there is no such domain. */
  info(domid: number): DomainInfo | undefined;
  /** First INTRODUCE of a domain: map its ring page (grant 1), bind the event channel to `port`. */
  introduce(domid: number, gfn: number, port: number, setup: RingSetup): Failure | undefined;
  /** INTRODUCE of a domain that is introduced already: bind the event channel anew. */
  rebind(domid: number, port: number): void;
  /** The connection starts afresh: indices of the ring to 0; see `resetRing`. */
  resetRing(domid: number): void;
  /** The domain is forgotten: unbind the port, unmap the page. */
  release(domid: number): void;
  /** The domain's connection is ignored from now on: write `error` into the ring page, unless it is null. */
  ignored(domid: number, error: number | null): void;
}

/** One line of what xenstored's own trace file shows. */
export interface TraceLine {
  readonly kind: "in" | "out" | "create-connection" | "destroy-connection";
  readonly conn: number;
  /** Message type; -1 for lines that are not about a message. */
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  /** Payload as a latin1 string. */
  readonly body: string;
}

/** The file a xenstored's trace goes to, for CONTROL log, logfile and memreport. */
export interface TraceFile {
  /** Writes from now on, appending; nothing where there is no file yet. */
  open(): void;
  close(): void;
  /** Writes to this file from now on; a relative path is relative to xenstored's own directory. */
  rename(path: string): void;
  /** Whether lines of a kind (`io`, `obj`, ...) are written. */
  isOn(name: string): boolean;
  turn(name: string, on: boolean): void;
  /** Appends a text to a file, or to the trace file for null; false where that cannot be. */
  report(path: string | null, text: string): boolean;
}

/** A request `CONTROL live-update …`, and what a reply to it must name. */
export interface LiveUpdateRequest {
  readonly conn: number;
  readonly reqId: number;
  readonly txId: number;
  /** What follows `live-update`. */
  readonly args: readonly string[];
}

/** A xenstored during one step. Make it once where cells and ports stay the same. */
export interface Store {
  readonly cells: Cells;
  /** Microseconds on a clock that never goes back. */
  readonly now: number;
  readonly domains: Domains;
  /** The request of an unprivileged domain that is being answered; nothing outside `receive`. */
  request?: CurrentRequest | undefined;
  /** Called when a connection that had nothing to send has something, or may be read from again. */
  readonly queued?: ((conn: number) => void) | undefined;
  /** Called with each request received and each message sent. */
  readonly observe?: ((line: TraceLine) => void) | undefined;
  /** Where there are files to trace to. */
  readonly traceFile?: TraceFile | undefined;
  /**
   * Where there is a process to be replaced: does one step of a live update. The
   * text is the reply, `OK` or what went wrong; `later` where it comes later.
   */
  readonly liveUpdate?: ((request: LiveUpdateRequest) => string | Failure) | undefined;
  /** Whether a transaction that is to start waits for a live update: its request was kept, and gets no reply now. */
  readonly delaysTransaction?: ((conn: number, reqId: number) => boolean) | undefined;
  /** Called with what real xenstored tells syslog. */
  readonly log?: ((text: string) => void) | undefined;
}
