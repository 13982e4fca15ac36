// SPDX-License-Identifier: Apache-2.0
//
// What all commands of domctl have in common: who may, on which domain, and the
// trace of it.

import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import type { Domain } from "./domain.ts";

/** The domain, which must not be the caller's own: it could not be paused (EINVAL). ESRCH, EPERM. */
export function another(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) || d.domid !== caller.domid ? d : fail("EINVAL");
}

/** Runs a command that changes state, on the domain or not at all, and leaves its trace. */
export function domctl<R>(
  host: Host,
  caller: Caller,
  name: string,
  d: DeepReadonly<Domain> | Failure,
  domid: number,
  args: { readonly [name: string]: number | string },
  run: (d: DeepReadonly<Domain>) => R | Failure,
): R | Failure {
  return traced(host, caller, `domctl ${name}`, domid, args, isFailure(d) ? d : run(d));
}
