// SPDX-License-Identifier: Apache-2.0
//
// mem-max, mem-set (tools/xl/xl_mem.c).

import { fail } from "../../engine/errno.ts";
import type { Node, Routine, Vocabulary } from "../../engine/routine.ts";
import { stderr } from "../../daemons/process.ts";
import { domainSetMaxMem, setMemoryTarget } from "../mem.ts";
import { findNamed } from "../name.ts";
import { ERROR_FAIL } from "../rc.ts";
import { verb } from "../verb.ts";
import type { VerbLocals } from "../verb.ts";
import { parseMemSizeKb } from "../xl/amounts.ts";
import * as say from "../xl/messages.ts";

interface MemoryLocals extends VerbLocals {
  command: { domain: string; memory: string };
  domid: number;
  memkb: number;
}

const locals = ({
  process,
  command,
}: {
  process: string;
  command: MemoryLocals["command"];
}): MemoryLocals => ({
  process,
  command,
  status: 0,
  domid: -1,
  memkb: 0,
});

/** Finds the domain, understands the amount and sets it; `complaint` says that this did not work. */
const body =
  (
    set: Routine<{ process: string; domid: number; memkb: number }, unknown>,
    complaint: (domid: number, memory: string) => string,
  ) =>
  ({ call, step, attempt, failWith }: Vocabulary<MemoryLocals>): Node<MemoryLocals>[] => [
    findNamed(call),
    step("parse_mem_size_kb", (host, l) => {
      const memkb = parseMemSizeKb(l.command.memory);
      if (memkb === null) {
        stderr(host, l.process, say.invalidMemorySize(l.command.memory));
        return fail("EINVAL");
      }
      l.memkb = memkb;
      return;
    }),
    attempt([
      call("set", set, ({ process, domid, memkb }) => ({ process, domid, memkb })),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, complaint(l.domid, l.command.memory))),
      failWith("not set", ERROR_FAIL),
    ]),
  ];

export const memMaxVerb = verb("mem-max", locals, body(domainSetMaxMem, say.cannotSetMaxMemory));
export const memSetVerb = verb("mem-set", locals, body(setMemoryTarget, say.cannotSetMemoryTarget));
