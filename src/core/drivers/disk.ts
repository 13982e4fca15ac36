// SPDX-License-Identifier: Apache-2.0
//
// The disks of dom0, as far as their users notice: a request needs a tag, takes
// its time, and may never come back.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";

/** How long a request takes, in µs. */
const DISK_US = 2_000;

/** Requests a block device takes at a time (blk-mq's tag set), where it is not the fault that says so. */
const TAGS = 64;

/** Tags in use, by block device number. */
const tagsCell = cellType<{ used: number }>("disk-tags");

/** Block devices with a fault: their requests do not come back (`held`), or there is no tag to be had (`exhausted`). */
export const diskFaultCell = cellType<{ held: boolean; exhausted: boolean }>("disk-fault");

/** Pages that somebody below the disk still holds, by block device number: the fault behind a stuck unmap. */
export const heldPagesCell = cellType<{ by: string }>("held-pages", { provenance: ["by"] });

function tagFree(cells: Cells, number: string): boolean {
  return (
    cells.get(diskFaultCell, number)?.exhausted !== true && (cells.get(tagsCell, number)?.used ?? 0) < TAGS
  );
}

function takeTag(host: Host, number: string): void {
  if (host.get(tagsCell, number) === undefined) host.add(tagsCell, number, { used: 0 });
  host.edit(tagsCell, number).used++;
}

function putTag(host: Host, number: string): void {
  const tags = host.edit(tagsCell, number);
  tags.used--;
  if (tags.used === 0) host.drop(tagsCell, number);
}

const blkMqGetTag = routine(
  "blk_mq_get_tag",
  (a: { number: string }) => ({ ...a }),
  ({ waitFor, step }) => [
    waitFor("bt_get", (host, l) => tagFree(host, l.number)),
    step("tag", (host, l) => takeTag(host, l.number)),
  ],
);

const blkMqAllocRequest = routine(
  "__blk_mq_alloc_request",
  (a: { number: string }) => ({ ...a }),
  ({ call }) => [call("blk_mq_get_tag", blkMqGetTag, (l) => l)],
);

const bioLife = routine(
  "bio",
  (a: { number: string; endIo: string; args: object }) => ({ ...a }),
  ({ sleep, waitFor, step, callNamed }) => [
    sleep("disk", () => DISK_US),
    waitFor("bio on hold", (host, l) => host.get(diskFaultCell, l.number)?.held !== true),
    step("blk_mq_free_request", (host, l) => putTag(host, l.number)),
    callNamed(
      "bio_endio",
      (l) => l.endIo,
      (l) => l.args,
    ),
  ],
);

/**
 * Hands a request to a block device. The caller waits for a tag; what `endIo`
 * names is called when the request comes back.
 *
 * @param name names the request among those under way
 */
export const submitBio = routine(
  "submit_bio",
  (a: { number: string; name: string; endIo: string; args: object }) => ({ ...a }),
  ({ call, step }) => [
    call("blk_mq_map_request", blkMqAllocRequest, (l) => ({ number: l.number })),
    step("issue", (host, l) => {
      spawnThread(
        host,
        `dom0/bio/${l.name}`,
        bioLife,
        { number: l.number, endIo: l.endIo, args: l.args },
        { kind: "kthread" },
      );
    }),
  ],
);

/** Whether pages of a disk's requests are still in use below it. */
export function pagesHeld(cells: Cells, number: string): boolean {
  return cells.get(heldPagesCell, number) !== undefined;
}
