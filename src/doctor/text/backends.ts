// SPDX-License-Identifier: Apache-2.0
//
// Kernel stacks that explain why a backend does not let go: the three hangs of
// PV backends, told by the functions they stand in (Linux drivers/net/xen-netback,
// drivers/block/xen-blkback, drivers/xen/grant-table.c).

import type { Waiting } from "../diagnosis.ts";
import type { TextEvidence } from "./evidence.ts";

interface Hang {
  /** All of these are on the stack. */
  readonly functions: readonly string[];
  readonly why: (evidence: TextEvidence) => string;
}

const hangs: readonly Hang[] = [
  {
    functions: ["kthread_stop", "xenvif_disconnect_data"],
    why: ({ zerocopy }) => {
      const waits = "netback waits for its dealloc thread, which stays while a packet is in flight";
      if (zerocopy === null) return `${waits} (ethtool -S of the interface is not in the text)`;
      const lost = zerocopy.sent - zerocopy.success - zerocopy.fail;
      const { sent, success, fail } = zerocopy;
      return lost > 0
        ? `${waits}: ${lost} not come back (tx_zerocopy_sent ${sent}, success ${success}, fail ${fail})`
        : `${waits}; the interface in the text has lost none`;
    },
  },
  {
    functions: ["gnttab_unmap_refs_sync"],
    why: () => "blkback waits to unmap persistent grants whose pages somebody else still uses",
  },
  {
    functions: ["kthread_stop", "xen_blkif_disconnect"],
    why: () => "blkback waits for its thread, which waits for a request the disk has not finished",
  },
];

/** What the stacks in the text say of a backend that does not let go; empty where they say nothing. */
export function backendChain(evidence: TextEvidence): Waiting[] {
  const found: Waiting[] = [];
  for (const stack of evidence.stacks) {
    const hang = hangs.find(({ functions }) => functions.every((name) => stack.includes(name)));
    if (hang === undefined) continue;
    const thread = evidence.stuck.find(({ command }) => /xenwatch|mtwatch/.test(command));
    found.push({
      thread: thread === undefined ? "a kernel thread" : `${thread.command} (pid ${thread.pid})`,
      routine: stack[1] ?? stack[0] ?? "",
      at: stack[0] ?? "",
      waitsFor: null,
      why: hang.why(evidence),
    });
  }
  return found;
}
