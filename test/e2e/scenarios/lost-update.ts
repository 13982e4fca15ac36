// SPDX-License-Identifier: Apache-2.0
//
// The textbook race, as small as a scenario can be: two threads add one to what
// they read before.

import { cellType, must } from "../../../src/core/engine/cells.ts";
import { routine } from "../../../src/core/engine/routine.ts";
import { spawnThread } from "../../../src/core/engine/thread.ts";
import { scenario } from "../../../src/explore/scenario.ts";

const sharedCell = cellType<{ value: number; done: number }>("lost-update");

const adder = routine(
  "adder",
  () => ({ seen: 0 }),
  ({ step }) => [
    step("read", (host, l) => {
      l.seen = must(host, sharedCell, 0).value;
    }),
    step("write", (host, l) => {
      const shared = host.edit(sharedCell, 0);
      shared.value = l.seen + 1;
      shared.done++;
    }),
  ],
);

export default scenario({
  name: "lost-update",
  about: "two threads add one to what they read before",
  script: ({ step, waitFor }) => [
    step("begin", (host) => {
      host.add(sharedCell, 0, { value: 0, done: 0 });
      for (const name of ["adder/1", "adder/2"]) spawnThread(host, name, adder, {});
    }),
    waitFor("both are done", (host) => host.get(sharedCell, 0)?.done === 2),
  ],
  sometimes: { "both have added": (host) => host.get(sharedCell, 0)?.done === 2 },
  finally: {
    "every addition counts": (host) => {
      const { value, done } = must(host, sharedCell, 0);
      return value === done ? null : `${done} additions, value ${value}`;
    },
  },
});
