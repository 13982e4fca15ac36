// SPDX-License-Identifier: Apache-2.0
//
// A sequence as commands that any xenstored can be driven with: connections are
// made, domains introduced, the steps done, and in the end all is put back.

import { parentOf } from "../../../src/core/xenstore/path.ts";
import {
  ADMIN,
  CONNECTIONS,
  DOMAINS,
  type DomainState,
  describeStep,
  ringOf,
  SOCKETS,
  type Sequence,
  type Step,
  TRANSACTIONS,
  typeNumber,
} from "./steps.ts";
import { XS } from "../../../src/core/xenstore/wire.ts";

/** What a driver does; see driver.c. */
export type Command =
  | { readonly op: "connect"; readonly slot: number }
  | { readonly op: "ring"; readonly slot: number; readonly domid: number }
  | { readonly op: "close"; readonly slot: number }
  | {
      readonly op: "request";
      readonly slot: number;
      readonly type: number;
      readonly body: string;
      /** Number of the transaction slot, among those of all connections; else `txId`. */
      readonly txSlot?: number;
      readonly txId: number;
      /** The reply need not be waited for: that to the connection's next request is. */
      readonly isQueued?: true;
    }
  /** All that connections with watches have to get is there. */
  | { readonly op: "settle" }
  /** The connection's domain is going: nothing more comes. */
  | { readonly op: "quiet"; readonly slot: number }
  | {
      readonly op: "domain";
      readonly domid: number;
      readonly state: DomainState;
      /** Nobody is told yet. */
      readonly isQuiet?: true;
    };

/** A command, and the step it belongs to. */
export interface ScriptLine {
  readonly command: Command;
  /** The step's number in the script, and in words. */
  readonly step: number;
  readonly text: string;
}

/** A request of the connection that prepares and cleans up. */
type Admin = (type: number, body: string) => Extract<Command, { op: "request" }>;

/** Domains beside those with connections that sequences name. */
const OTHERS = [4, 8, 9];

/** The sequence as a script. Sends nothing on connections that are not there. */
export function scriptOf({ steps, limits = {} }: Sequence): ScriptLine[] {
  const lines: ScriptLine[] = [];
  const add = (text: string, ...commands: Command[]): void => {
    const step = (lines.at(-1)?.step ?? -1) + 1;
    for (const command of commands) lines.push({ command, step, text });
  };
  const admin: Admin = (type, body) => ({ op: "request", slot: ADMIN, type, body, txId: 0 });
  const used = new Set(steps.flatMap(connectionsOf));
  add("prepare", { op: "connect", slot: ADMIN }, admin(XS.MKDIR, "/local\0"));
  for (const [name, value] of Object.entries(limits))
    add(`limit ${name}`, admin(XS.CONTROL, `quota\0set\0${name}\0${value}\0`));
  for (const domid of [...DOMAINS, ...OTHERS])
    add("prepare", { op: "domain", domid, state: "running", isQuiet: true });
  const there = new Set<number>();
  for (const who of [...used].toSorted((a, b) => a - b)) {
    there.add(who);
    if (who < SOCKETS) add("prepare", { op: "connect", slot: who });
    else {
      const domid = DOMAINS[who - SOCKETS] as number;
      add("prepare", { op: "ring", slot: who, domid }, admin(XS.INTRODUCE, `${domid}\x001\0${domid}\0`));
    }
  }
  for (const step of steps) {
    if (step.do === "request" && !there.has(step.who)) continue;
    add(describeStep(step), ...commandsOf(step, admin), { op: "settle" });
    applyPresence(step, there);
  }
  cleanUp({ steps, limits, add, admin });
  return lines;
}

function connectionsOf(step: Step): number[] {
  if (step.do === "request" || step.do === "reconnect") return [step.who];
  const ring = ringOf(step.domid);
  return ring === undefined ? [] : [ring];
}

function applyPresence(step: Step, there: Set<number>): void {
  if (step.do === "request" || step.do === "reconnect") return;
  const ring = ringOf(step.domid);
  const goes = step.do === "release" || (step.do === "domain" && isGone(step.state));
  if (ring === undefined) return;
  if (goes) there.delete(ring);
  else if (step.do === "introduce") there.add(ring);
}

function isGone(state: DomainState): boolean {
  return state === "absent" || state === "dying";
}

function quiet(domid: number): Command[] {
  const slot = ringOf(domid);
  return slot === undefined ? [] : [{ op: "quiet", slot }];
}

function commandsOf(step: Step, admin: Admin): Command[] {
  switch (step.do) {
    case "reconnect":
      return [
        { op: "close", slot: step.who },
        { op: "connect", slot: step.who },
      ];
    case "release":
      return [...quiet(step.domid), admin(XS.RELEASE, `${step.domid}\0`)];
    case "introduce":
      return [
        { op: "domain", domid: step.domid, state: "running" },
        admin(XS.INTRODUCE, `${step.domid}\x001\0${step.domid}\0`),
      ];
    case "domain":
      // The admin's request is answered after the interrupt was seen.
      return [
        ...(isGone(step.state) ? quiet(step.domid) : []),
        { op: "domain", domid: step.domid, state: step.state },
        admin(XS.GET_DOMAIN_PATH, "0\0"),
      ];
    case "request": {
      const { who, type, body, tx } = step;
      const request = { op: "request", slot: who, type: typeNumber(type), body, txId: 0 } as const;
      if (tx === undefined) return [request];
      return "id" in tx
        ? [{ ...request, txId: tx.id }]
        : [{ ...request, txSlot: who * TRANSACTIONS + tx.slot }];
    }
  }
}

/** Limits real xenstored starts with, to be put back. */
const limitDefaults: Readonly<Record<string, number>> = {
  nodes: 1000,
  watches: 128,
  transactions: 10,
  "transaction-nodes": 1024,
  "node-size": 2048,
  "path-max": 2048,
  permissions: 5,
};

const SPECIALS = ["@introduceDomain", "@releaseDomain"];

interface CleanUp {
  readonly steps: readonly Step[];
  readonly limits: Readonly<Record<string, number>>;
  readonly add: (text: string, ...commands: Command[]) => void;
  readonly admin: Admin;
}

function cleanUp({ steps, limits, add, admin }: CleanUp): void {
  for (let who = 0; who < CONNECTIONS; who++) add("clean up", { op: "close", slot: who });
  // All that are known are forgotten, and what they owned goes.
  for (const domid of [...DOMAINS, ...OTHERS])
    add("clean up", { op: "domain", domid, state: "absent", isQuiet: true });
  add("clean up", { op: "domain", domid: 1, state: "absent" }, admin(XS.GET_DOMAIN_PATH, "0\0"));
  const requests = [
    ...Object.keys(limits).map((name) => admin(XS.CONTROL, `quota\0set\0${name}\0${limitDefaults[name]}\0`)),
    ...[...rootsOf(steps)].map((root) => admin(XS.RM, `${root}\0`)),
    // Nodes of oxenstored; others know none of such names.
    ...["@", "@other", ...SPECIALS].map((name) => admin(XS.RM, `${name}\0`)),
    ...SPECIALS.map((name) => admin(XS.MKDIR, `${name}\0`)),
    admin(XS.SET_PERMS, "/\0n0\0"),
    admin(XS.WRITE, "/\0"),
    admin(XS.RM, "/tool\0"),
    admin(XS.MKDIR, "/tool/xenstored\0"),
    admin(XS.SET_PERMS, "/tool\0n0\0"),
    admin(XS.SET_PERMS, "/tool/xenstored\0n0\0"),
    ...SPECIALS.map((name) => admin(XS.SET_PERMS, `${name}\0n0\0`)),
  ];
  add("clean up", ...requests.map((request) => ({ ...request, isQueued: true as const })));
  add("what is left", admin(XS.DIRECTORY, "/\0"), { op: "close", slot: ADMIN });
}

/** Top-level nodes a sequence may have made. */
function rootsOf(steps: readonly Step[]): Set<string> {
  const roots = new Set(["/local"]);
  for (const step of steps) {
    if (step.do !== "request" || !step.body.startsWith("/")) continue;
    let path = step.body.split("\0")[0] as string;
    if (path === "/" || path.startsWith("//")) continue;
    while (parentOf(path) !== "/") path = parentOf(path);
    if (/^\/[-A-Za-z0-9_@]+$/.test(path) && path !== "/tool") roots.add(path);
  }
  return roots;
}
