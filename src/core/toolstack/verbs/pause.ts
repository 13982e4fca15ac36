// SPDX-License-Identifier: Apache-2.0
//
// pause, unpause, destroy (tools/xl/xl_vmcontrol.c). xl does not look whether
// the first two worked: libxl has said what went wrong, the exit status is 0.

import { fail } from "../../engine/errno.ts";
import type { Errno } from "../../engine/errno.ts";
import { stderr } from "../../daemons/process.ts";
import { domainDestroy } from "../domain-destroy.ts";
import { findNamed } from "../name.ts";
import { domainPause, domainUnpause } from "../pause.ts";
import { rcOf } from "../rc.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { sameDomain } from "../same.ts";

export const pauseVerb = verb(
  "pause",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call, attempt }) => [
    findNamed(call),
    attempt([call("pause", domainPause, sameDomain)]).onError(() => {}, []),
  ],
);

export const unpauseVerb = verb(
  "unpause",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call, attempt }) => [
    findNamed(call),
    attempt([call("unpause", domainUnpause, sameDomain)]).onError(() => {}, []),
  ],
);

export const destroyVerb = verb(
  "destroy",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, errno: "EIO" as Errno }),
  ({ call, step, attempt, failWith }) => [
    findNamed(call),
    step("not dom0", (host, l) => {
      if (l.domid !== 0 || l.command.force) return undefined;
      stderr(host, l.process, say.notDestroyingDomain0);
      return fail("EINVAL");
    }),
    attempt([call("destroy", domainDestroy, sameDomain)]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, l) => stderr(host, l.process, say.destroyFailed(rcOf(l.errno)))),
        failWith("not destroyed", (l) => l.errno),
      ],
    ),
  ],
);
