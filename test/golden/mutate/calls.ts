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

function swapCalls(list: Call[], first: Call, second: Call): () => void {
  const [i, j] = [list.indexOf(first), list.indexOf(second)];
  [list[i], list[j]] = [second, first];
  return () => ([list[i], list[j]] = [first, second]);
}
