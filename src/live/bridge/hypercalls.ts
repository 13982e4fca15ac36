// SPDX-License-Identifier: Apache-2.0
//
// Carries prepared hypercalls to the host and their results back: at once where
// they take one step, when their thread ends where they take several.

import type { Cells, Plain } from "../../core/engine/cells.ts";
import { fail, isFailure } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";
import type { Caller } from "../../core/hypervisor/caller.ts";
import { domainById } from "../../core/hypervisor/domain.ts";
import { prepare } from "../../core/hypervisor/hypercall/operation.ts";
import type { Prepared, TypedOperation } from "../../core/hypervisor/hypercall/operation.ts";
import {
  endedCalls,
  endedSeen,
  hypercallMade,
  hypercallsOpened,
  lastResult,
} from "../../core/hypervisor/hypercall/perform.ts";
import type { Driver } from "../driver.ts";

/** Whether a domain's processes can ask for anything. */
export function isAlive(cells: Cells, domid: number): boolean {
  return domid === 0 || domainById(cells, domid)?.isDying === "alive";
}

/** Told what a hypercall returns. */
export type Done = (result: number | Failure) => void;

/** The way into a live host for processes outside it. */
export class Hypercalls {
  readonly driver: Driver;
  /** Told of every operation that succeeded, before its caller is. */
  performed: (operation: string, args: Plain) => void = () => {};
  readonly #waiting = new Map<number, (result: Plain | Failure) => void>();
  #count = 0;

  constructor(driver: Driver) {
    this.driver = driver;
    driver.give(hypercallsOpened, null);
    driver.afterTurn(() => this.#deliver());
  }

  /** Performs a hypercall whose arguments are known. ESRCH from a domain that is no more: its processes are none. */
  perform(prepared: Prepared, caller: Caller, done: Done): void {
    if (!isAlive(this.driver.world, caller.domid)) return done(fail("ESRCH"));
    const finish = (result: Plain | Failure): void => {
      if (isFailure(result)) {
        prepared.failed?.(result);
        return done(result);
      }
      this.performed(prepared.operation.name, prepared.args);
      done(prepared.reply(result as never));
    };
    const { operation, args } = prepared;
    if (operation.kind === "query") {
      return finish(this.driver.look((host) => operation.run?.(host, caller, args as never)));
    }
    const call = ++this.#count;
    if (operation.kind === "restartable") this.#waiting.set(call, finish);
    const plainCaller = { domid: caller.domid, process: caller.process };
    this.driver.give(hypercallMade, { call, operation: operation.name, caller: plainCaller, args });
    if (operation.kind === "atomic") finish(lastResult(this.driver.world));
  }

  /** Performs an operation of one step and returns what it gives. */
  now<A, R>(operation: TypedOperation<A, R>, args: A, caller: Caller): R | Failure {
    let given: R | Failure | undefined;
    const prepared = prepare(operation, args, (result: R) => {
      given = result;
      return 0;
    });
    this.perform(prepared, caller, (result) => {
      if (isFailure(result)) given = result;
    });
    return given as R | Failure;
  }

  #deliver(): void {
    const ended = [...endedCalls(this.driver.world)];
    if (ended.length === 0) return;
    this.driver.give(endedSeen, { count: ended.length });
    for (const { call, result } of ended) {
      const finish = this.#waiting.get(call);
      this.#waiting.delete(call);
      finish?.(result);
    }
  }
}
