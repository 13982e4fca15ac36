// SPDX-License-Identifier: Apache-2.0
//
// Which events of a run are messages between its parts, and between which: what
// sequence diagrams are drawn from.

import type { TraceRecord } from "../core/engine/trace.ts";

/** One part telling another something, or, where `from` is `to`, what becomes of something there. */
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

/** A message without its place in the run. */
type Said = Omit<Message, "seq" | "at">;

function hypercall(data: Fields): Said {
  const { caller, op, dom, result, out } = data as {
    caller: string;
    op: string;
    dom: number;
    result: number | string;
    out: { readonly domid?: number };
  };
  const failed = typeof result === "string" ? ` = ${result}` : "";
  return { from: actorOf(caller), to: XEN, text: `${op} dom${out.domid ?? dom}${failed}`, dashed: false };
}

/** A caller as traces name it, `d0/xl.166`: a process goes by its own name, a kernel by its domain's. */
export function actorOf(caller: string): string {
  const [domain = "", process = ""] = caller.split("/");
  return process === "kernel" ? `${domain.replace("d", "dom")} kernel` : process;
}

function virq(data: Fields): Said {
  return { from: XEN, to: XENSTORED, text: `VIRQ_DOM_EXC (${String(data["why"])})`, dashed: true };
}

const LIFE: { readonly [state: string]: string } = {
  created: "is on the list",
  shutdown: "is shut down",
  resumed: "is resumed",
  dying: "is dying",
  dead: "is dead",
  removed: "is off the list",
  freed: "is freed",
};

function life(data: Fields): Said {
  const { domid, state } = data as { domid: number; state: string };
  return { from: XEN, to: XEN, text: `domain ${domid} ${LIFE[state] ?? state}`, dashed: false };
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

/** Requests and events of the store. What a request failed with is said with the request. */
class StoreMessages {
  readonly #reads: boolean;
  /** Requests not answered yet, by client: replies come in their order. */
  readonly #open = new Map<string, Said[]>();

  constructor(reads: boolean) {
    this.#reads = reads;
  }

  next(data: Fields): Said | null {
    const { dir, op, body, who } = data as { dir: string; op: string; body: string; who: string };
    const words = body.split("\0").filter((word) => word !== "");
    const client = clientName(who);
    if (op === "WATCH_EVENT")
      return { from: XENSTORED, to: client, text: `event ${words[0] ?? ""}`, dashed: true };
    if (dir === "in") {
      const request = { from: client, to: XENSTORED, text: [op, ...words].join(" "), dashed: false };
      const open = this.#open.get(who);
      if (open === undefined) this.#open.set(who, [request]);
      else open.push(request);
      return this.#reads || !READS.has(op) ? request : null;
    }
    const answered = this.#open.get(who)?.shift();
    if (op === "ERROR" && answered !== undefined) answered.text += ` = ${words[0] ?? ""}`;
    return null;
  }
}

/**
 * Events with each hypercall before what it did in the hypervisor: its own event
 * comes when it has ended.
 */
function inOrder(events: readonly TraceRecord[]): TraceRecord[] {
  const firstEffect = new Map<string, number>();
  const placed = events.map((event) => {
    const { seq, by, kind } = event as { seq: number; by: string; kind: string };
    const first = firstEffect.get(by) ?? seq;
    if (kind === "domain" || kind === "virq") firstEffect.set(by, first);
    else if (kind === "hypercall" || kind === "xenstore") firstEffect.delete(by);
    return { event, place: kind === "hypercall" ? first - 0.5 : seq };
  });
  return placed.toSorted((a, b) => a.place - b.place).map(({ event }) => event);
}

/**
 * The messages among a run's events, in order.
 *
 * @param options.reads with requests that only read the store
 */
export function messagesOf(events: readonly TraceRecord[], options: { reads: boolean }): Message[] {
  const store = new StoreMessages(options.reads);
  const kinds: { readonly [kind: string]: (data: Fields) => Said | null } = {
    hypercall,
    virq,
    domain: life,
    xenstore: (data) => store.next(data),
  };
  return inOrder(events).flatMap((event): Message[] => {
    const { seq, at, kind } = event as { seq: number; at: number; kind: string };
    const said = kinds[kind]?.(event.data) ?? null;
    if (said === null) return [];
    // The same object, as the reply may still add to it.
    return [Object.assign(said, { seq, at })];
  });
}
