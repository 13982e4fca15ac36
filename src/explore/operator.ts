// SPDX-License-Identifier: Apache-2.0
//
// What an operator at dom0's shell does in a scenario's script: xl commands, in
// the foreground or beside other things, and waiting for something to be so.

import { must } from "../core/engine/cells.ts";
import { assert } from "../core/engine/errno.ts";
import type { Host } from "../core/engine/host.ts";
import type { Node, Vocabulary } from "../core/engine/routine.ts";
import { hasExited, reap } from "../core/daemons/process.ts";
import { nodeType } from "../core/xenstore/tree.ts";
import { guestCell } from "../core/guest/guest.ts";
import { domainById } from "../core/hypervisor/domain.ts";
import { incarnationCell } from "../core/hypervisor/domid.ts";
import { rcuDomainCell } from "../core/hypervisor/free.ts";
import { spawnXl } from "../core/toolstack/xl.ts";
import type { ScriptLocals } from "./scenario.ts";

/** Words for a script, over a scenario's locals. */
export interface OperatorWords {
  /** Runs an xl command to its end, which must be a success. */
  xl(name: string, argv: readonly string[]): Node<ScriptLocals>[];
  /** Starts an xl command and goes on. */
  startXl(name: string, argv: readonly string[]): Node<ScriptLocals>;
  /** Waits for a command that was started: it must be a success. */
  finishXl(name: string): Node<ScriptLocals>[];
  /** Waits until it is so; reads cells with `get` only. */
  until(name: string, so: (host: Host) => boolean): Node<ScriptLocals>;
}

/** The operator's words, from the vocabulary that a script is given. */
export function operator({ step, waitFor }: Vocabulary<ScriptLocals>): OperatorWords {
  const startXl = (name: string, argv: readonly string[]): Node<ScriptLocals> =>
    step(name, (host, l) => {
      l[name] = spawnXl(host, argv, { awaited: true });
    });
  const finishXl = (name: string): Node<ScriptLocals>[] => [
    waitFor(`wait for ${name}`, (host, l) => hasExited(host, l[name] as string)),
    step(`${name} ended`, (host, l) => {
      const status = reap(host, l[name] as string);
      delete l[name];
      assert(status === 0, `xl ended with exit code ${status}: ${name}`);
    }),
  ];
  return {
    startXl,
    finishXl,
    xl: (name, argv) => [startXl(name, argv), ...finishXl(name)],
    until: (name, so) => waitFor(name, so),
  };
}

/** Whether a guest's user space is up. */
export function guestIsUp(host: Host, domid: number): boolean {
  return (host.get(guestCell, domid)?.upAt ?? null) !== null;
}

/** Whether a domain has been killed and somebody holds on to something of it: a zombie. */
export function domainIsDead(host: Host, domid: number): boolean {
  return domainById(host, domid)?.isDying === "dead";
}

/** Whether no domain of that number exists any more: gone, not only dead. */
export function domainIsGone(host: Host, domid: number): boolean {
  return domainById(host, domid) === undefined;
}

/** Whether the structure of the last domain of that number is freed too, after the grace period. */
export function domainIsFreed(host: Host, domid: number): boolean {
  const { count } = must(host, incarnationCell, domid);
  return domainIsGone(host, domid) && host.get(rcuDomainCell, `${domid}/${count}`) === undefined;
}

/** The value of a xenstore node, or undefined where there is none. */
export function storeValue(host: Host, path: string): string | undefined {
  return host.get(nodeType, path)?.value;
}
