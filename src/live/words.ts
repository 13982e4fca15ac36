// SPDX-License-Identifier: Apache-2.0
//
// Events of a run in plain words, one line each: what somebody who watches a
// host wants to be told. Most events say nothing; those that tell a domain's
// life do.

import type { TraceEvents, TraceRecord } from "../core/engine/trace.ts";
import { ShutdownCode } from "../core/hypervisor/domain.ts";
import { XenbusState, xenbusStrState } from "../core/xenbus/state.ts";

/** How a domain is called, by domid; undefined where it has no name yet, or no longer. */
export type NameOf = (domid: number) => string | undefined;

const SHUTDOWN_WORDS = new Map<number, string>(
  Object.entries(ShutdownCode).map(([name, code]) => [code, name]),
);

type Words = {
  [K in keyof TraceEvents]?: (data: TraceEvents[K], name: (domid: number) => string) => string | null;
};

function domain(
  { domid, state, code }: TraceEvents["domain"],
  name: (domid: number) => string,
): string | null {
  switch (state) {
    case "created":
      return `domain ${domid} was created`;
    case "shutdown":
      return `${name(domid)} shut down (${SHUTDOWN_WORDS.get(code ?? -1) ?? `code ${code}`})`;
    case "resumed":
      return `${name(domid)} goes on`;
    case "dying":
      return `${name(domid)} is being killed`;
    case "dead":
      return `${name(domid)} is dead`;
    case "removed":
      return null;
    case "freed":
      return `${name(domid)} is gone`;
  }
}

// As `/local/domain/0/backend/vif/1/0/state` and `/local/domain/1/device/vif/0/state`, or below the writer's own path.
const BACKEND_STATE = /^(?:\/local\/domain\/\d+\/)?backend\/([^/]+)\/(\d+)\/(\d+)\/state$/;
const FRONTEND_STATE = /^(?:\/local\/domain\/(\d+)\/)?device\/([^/]+)\/(\d+)\/state$/;

const STATES = new Set(Object.values(XenbusState).map(String));

/** A write of a XenbusState, as the end of a device that wrote it. */
function deviceState(
  path: string,
  value: string,
  who: string,
  name: (domid: number) => string,
): string | null {
  if (!STATES.has(value)) return null;
  const state = xenbusStrState(Number(value));
  const back = BACKEND_STATE.exec(path);
  if (back !== null) return `${back[1]}${back[3]} of ${name(Number(back[2]))}: backend ${state}`;
  const front = FRONTEND_STATE.exec(path);
  if (front === null) return null;
  const domid = front[1] ?? /^dom(\d+) kernel$/.exec(who)?.[1];
  return domid === undefined ? null : `${front[2]}${front[3]} of ${name(Number(domid))}: frontend ${state}`;
}

function xenstore(
  { dir, op, body, who }: TraceEvents["xenstore"],
  name: (domid: number) => string,
): string | null {
  if (dir !== "in" || op !== "WRITE") return null;
  const end = body.indexOf("\0");
  const path = body.slice(0, end);
  const value = body.slice(end + 1);
  const control = /^\/local\/domain\/(\d+)\/control\/shutdown$/.exec(path);
  if (control !== null && value !== "") return `${name(Number(control[1]))} is asked to ${value}`;
  return deviceState(path, value, who, name);
}

/** A program of dom0 is worth a line when somebody typed it, not when a daemon, a script or xl itself forked it. */
function exec({ process, argv }: TraceEvents["process.exec"]): string | null {
  return argv[0] === "xl" && argv.length > 1 && !process.endsWith(".monitor") ? `$ ${argv.join(" ")}` : null;
}

function lastLine(text: string): string | null {
  return text.trimEnd().split("\n").at(-1) || null;
}

const words: Words = {
  domain,
  xenstore,
  "process.exec": exec,
  "process.exit": ({ process, status }) =>
    status === 0 ? null : `${process} ended with exit code ${status}`,
  stderr: ({ text }) => lastLine(text),
  printk: ({ domid, text }, name) => `${name(domid)}: ${text}`,
  machine: ({ halted }) => `the host shut down (${SHUTDOWN_WORDS.get(halted) ?? halted})`,
};

/** An event in one line, or null where it says nothing to somebody who just watches. */
export function wordsOf(event: TraceRecord, nameOf: NameOf): string | null {
  const name = (domid: number): string => {
    const known = nameOf(domid);
    return known === undefined ? `domain ${domid}` : `${known} (${domid})`;
  };
  const say = words[event.kind] as
    | ((data: unknown, name: (domid: number) => string) => string | null)
    | undefined;
  return say === undefined ? null : say(event.data, name);
}
