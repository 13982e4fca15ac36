// SPDX-License-Identifier: Apache-2.0
//
// Which events of a run are messages between its parts, and between which: what
// sequence diagrams are drawn from.

import type { TraceRecord } from "../core/engine/trace.ts";

/** One part telling another something. */
export interface Message {
  seq: number;
  at: number;
  from: string;
  to: string;
  text: string;
  /** A reply or a notification, drawn dashed. */
  dashed: boolean;
}

/** The hypervisor and the store, as diagrams call them. */
export const XEN = "Xen";
export const XENSTORED = "xenstored";

/** Events without a type of their own here: read by name, so that export needs no more of the core than the trace. */
type Fields = { readonly [field: string]: unknown };

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function hypercall(data: Fields): Omit<Message, "seq" | "at"> {
  const { caller, op, dom, result } = data as {
    caller: string;
    op: string;
    dom: number;
    result: number | string;
  };
  const failed = typeof result === "string" ? ` = ${result}` : "";
  return { from: actorOf(caller), to: XEN, text: `${op} dom${dom}${failed}`, dashed: false };
}

/** A caller as traces name it, `d0/xl.166`: a process goes by its own name, a kernel by its domain's. */
export function actorOf(caller: string): string {
  const [domain = "", process = ""] = caller.split("/");
  return process === "kernel" ? `${domain.replace("d", "dom")} kernel` : process;
}

const READS = new Set([
  "READ",
  "DIRECTORY",
  "GET_PERMS",
  "GET_DOMAIN_PATH",
  "DIRECTORY_PART",
  "IS_DOMAIN_INTRODUCED",
]);

/** A client by its process or kernel: `dom0/xl.3/xs` is `xl.3`. */
function clientName(who: string): string {
  return who.replace(/^dom0\//, "").replace(/\/xs$/, "");
}

function xenstore(data: Fields, reads: boolean): Omit<Message, "seq" | "at"> | null {
  const { dir, op, body } = data as { dir: string; op: string; body: string };
  const who = clientName(data["who"] as string);
  const words = body.split("\0").filter((word) => word !== "");
  if (dir === "in") {
    if (!reads && READS.has(op)) return null;
    return { from: who, to: XENSTORED, text: [op, ...words].join(" "), dashed: false };
  }
  if (op === "WATCH_EVENT")
    return { from: XENSTORED, to: who, text: `event ${words[0] ?? ""}`, dashed: true };
  if (op === "ERROR") return { from: XENSTORED, to: who, text: words[0] ?? "", dashed: true };
  return null;
}

/**
 * The messages among a run's events, in order.
 *
 * @param options.reads with requests that only read the store
 */
export function messagesOf(events: readonly TraceRecord[], options: { reads: boolean }): Message[] {
  return events.flatMap((event): Message[] => {
    const { seq, at, kind } = event as { seq: number; at: number; kind: string };
    const data = event.data as Fields;
    const message =
      kind === "hypercall"
        ? hypercall(data)
        : kind === "xenstore"
          ? xenstore(data, options.reads)
          : kind === "virq"
            ? { from: XEN, to: XENSTORED, text: `VIRQ_DOM_EXC (${text(data["why"])})`, dashed: true }
            : null;
    return message === null ? [] : [{ seq, at, ...message }];
  });
}
