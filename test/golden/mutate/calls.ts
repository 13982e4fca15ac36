// SPDX-License-Identifier: Apache-2.0

import { isStateChanging } from "../compare/hypercalls.ts";
import type { Call, Recording } from "../recording.ts";
import { remove, set, type Mutation } from "./damage.ts";

/** State-changing calls: dropped, swapped, with another argument or result. */
export function ofCalls(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const process of recording.processes) {
    const calls = process.calls.filter(isStateChanging);
    calls.forEach((call, at) => {
      const what = `${process.program} ${process.pid}: ${call.name} ${JSON.stringify(call.args)}`;
      found.push({ what: `${what}: dropped`, apply: () => remove(process.calls, [call]) });
      found.push({ what: `${what}: result changed`, apply: () => set(call, "result", call.result + 77) });
      const next = calls[at + 1];
      if (next && next.name !== call.name)
        found.push({
          what: `${what}: swapped with the next`,
          apply: () => swapCalls(process.calls, call, next),
        });
      for (const [name, value] of Object.entries(call.args))
        found.push({ what: `${what}: ${name} changed`, apply: () => set(call.args, name, `${value}9`) });
    });
  }
  return found.filter(
    (mutation) => !mutation.what.includes("BIND_INTERDOMAIN") || !mutation.what.endsWith("result changed"),
  );
}

/** Any call: failed, another one, or about other pages. One that is only dropped may be asked again later. */
export function ofAllCalls(recording: Recording): Mutation[] {
  const found: Mutation[] = [];
  for (const process of recording.processes.filter(({ commandLine }) => commandLine !== "")) {
    for (const call of process.calls) {
      const what = `${process.program} ${process.pid}: ${call.name} ${JSON.stringify(call.args)}`;
      const errno = call.errno === null ? 5 : null;
      found.push({ what: `${what}: ended otherwise`, apply: () => set(call, "errno", errno) });
      found.push({ what: `${what}: another`, apply: () => set(call, "name", `${call.name}s`) });
      for (const pages of ["num", "nr"])
        if (call.args[pages] !== undefined && call.name !== "memory_op claim_pages")
          found.push({
            what: `${what}: ${pages} changed`,
            apply: () => set(call.args, pages, `${call.args[pages]}1`),
          });
    }
  }
  return found;
}

function swapCalls(list: Call[], first: Call, second: Call): () => void {
  const [i, j] = [list.indexOf(first), list.indexOf(second)];
  [list[i], list[j]] = [second, first];
  return () => ([list[i], list[j]] = [first, second]);
}
