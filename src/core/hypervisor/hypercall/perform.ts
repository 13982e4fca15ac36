// SPDX-License-Identifier: Apache-2.0
//
// Performs operations for callers outside the host: as recorded inputs, and as
// threads where they take more than one step.

import { cellType, must } from "../../engine/cells.ts";
import type { Cells, Plain } from "../../engine/cells.ts";
import { assert, fail } from "../../engine/errno.ts";
import type { Errno, Failure } from "../../engine/errno.ts";
import { input } from "../../engine/input.ts";
import { addMailbox, mailboxCell, post, takeMessage } from "../../engine/mailbox.ts";
import { routine } from "../../engine/routine.ts";
import { enlist } from "../../engine/runqueue.ts";
import { spawnThread } from "../../engine/thread.ts";
import type { Caller } from "../caller.ts";
import { operationNamed } from "./operation.ts";

/** Where ended threads leave what their callers wait for. */
const ENDED_MAILBOX = "hypercalls";

/** What the last operation of one step gave: read by the rim before it gives another. */
const lastResultCell = cellType<{ result: Plain }>("hypercall-result", { provenance: ["result"] });

/** What an operation is asked to do. `call` is the rim's name for it. */
interface Asked {
  call: number;
  operation: string;
  caller: Caller;
  args: Plain;
}

/** How an operation of several steps ended. */
export interface Ended {
  readonly call: number;
  readonly result: Plain | Failure;
}

/** Sets up what operations need; once a host. */
export const hypercallsOpened = input("hypercall.open", (host, _data: null) => {
  if (host.get(mailboxCell, ENDED_MAILBOX) !== undefined) return;
  addMailbox(host, ENDED_MAILBOX);
  host.add(lastResultCell, 0, { result: null });
});

/** A process made a hypercall. */
export const hypercallMade = input("hypercall", (host, asked: Asked & { [field: string]: Plain }) => {
  const { call, caller, args } = asked;
  const { name, run, routine: restarting } = operationNamed(asked.operation);
  if (run !== null) {
    host.edit(lastResultCell, 0).result = run(host, caller, args as never) as Plain;
    return;
  }
  assert(restarting !== null, `${name} does nothing`);
  const thread = `dom${caller.domid}/${caller.process}/${name.replaceAll(" ", "_")}.${call}`;
  const locals = { call, routine: restarting.name, args: { ...(args as object), caller } };
  spawnThread(host, thread, hypercallThread, locals, { kind: "process", domid: caller.domid });
  enlist(host, caller.domid, thread);
});

/** The rim has seen that many ended threads' results. */
export const endedSeen = input("hypercall.seen", (host, data: { count: number }) => {
  for (let at = 0; at < data.count; at++) takeMessage(host, ENDED_MAILBOX);
});

/** What the operation that was just given as input came to. */
export function lastResult(cells: Cells): Plain | Failure {
  return must(cells, lastResultCell, 0).result;
}

/** Operations whose threads have ended, oldest first. */
export function endedCalls(cells: Cells): readonly Ended[] {
  return must(cells, mailboxCell, ENDED_MAILBOX).messages as unknown as readonly Ended[];
}

/** A process inside the hypervisor until its operation is done. */
const hypercallThread = routine(
  "hypercall",
  (a: { call: number; routine: string; args: object }) => ({
    ...a,
    result: 0 as Plain,
    errno: null as Errno | null,
  }),
  ({ step, attempt, callNamed }) => [
    attempt([
      callNamed(
        "operation",
        (l) => l.routine,
        (l) => l.args,
        (l, result) => void (l.result = (result ?? 0) as Plain),
      ),
    ]).onError((l, errno) => void (l.errno = errno), []),
    step("return to the caller", (host, l) => {
      const result = l.errno === null ? l.result : (fail(l.errno) as unknown as Plain);
      post(host, ENDED_MAILBOX, { call: l.call, result });
    }),
  ],
);
