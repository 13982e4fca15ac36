// SPDX-License-Identifier: Apache-2.0
//
// The disks of a domain that serves others, as far as their users notice: a
// request needs a tag, takes its time, and may never come back.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { faultKind, faultOn } from "../engine/fault.ts";
import type { FaultKind } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread } from "../engine/thread.ts";
import { blockDeviceCell, blockNodeCell, domainOf, ofDomain } from "./backend-devices.ts";

/** How long a request takes, in µs. */
const DISK_US = 2_000;

/** Requests a block device takes at a time (blk-mq's tag set). */
const TAGS = 64;

/** Tags in use, by block device. */
export const tagsCell = cellType<{ used: number }>("disk-tags");

/** A fault of a block device. */
const DISK_WORD = {
  name: "DISK",
  about: "the block device of dom0, by its path; of driver domain 3: d3:PATH",
} as const;

function refuseDisk(cells: Cells, [path = ""]: readonly string[]): string | null {
  if (cells.get(blockNodeCell, path) !== undefined) return null;
  const { domid, name } = domainOf(path);
  return `dom${domid} has no block device ${name}`;
}

/** Below the disk (nfs, iscsi, a loop device on either) requests no longer come back. */
export const holdBio = faultKind({
  name: "hold-bio",
  about: "requests that this disk was given do not come back",
  words: [DISK_WORD],
  example: ["/dev/vg0/web"],
  refuse: refuseDisk,
});

/** The talk's first case: no free tag, so blkback's thread cannot hand its request on, nor stop. */
export const holdTag = faultKind({
  name: "hold-tag",
  about: "the tags of this disk are in use for ever: whoever hands it a request waits for one",
  words: [DISK_WORD],
  example: ["/dev/vg0/web"],
  refuse: refuseDisk,
});

/** The talk's second case: somebody below the disk still has the pages of requests that have come back. */
export const holdPage = faultKind({
  name: "hold-page",
  about: "the storage below this disk keeps pages of requests that have come back",
  words: [DISK_WORD],
  example: ["/dev/vg0/web"],
  refuse: refuseDisk,
});

function diskFault(cells: Cells, kind: FaultKind, number: string): boolean {
  const path = cells.get(blockDeviceCell, number)?.path;
  return path !== undefined && faultOn(cells, kind, ofDomain(domainOf(number).domid, path));
}

function tagFree(cells: Cells, number: string): boolean {
  return !diskFault(cells, holdTag, number) && (cells.get(tagsCell, number)?.used ?? 0) < TAGS;
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
    waitFor("bt_get", (host, l) => tagFree(host, l.number), { uninterruptible: true }),
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
    waitFor("bio on hold", (host, l) => !diskFault(host, holdBio, l.number)),
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
 * @param number the block device, as the domain's (`ofDomain`)
 * @param name names the request among those under way
 */
export const submitBio = routine(
  "submit_bio",
  (a: { number: string; name: string; endIo: string; args: object }) => ({ ...a }),
  ({ call, step }) => [
    call("blk_mq_map_request", blkMqAllocRequest, (l) => ({ number: l.number })),
    step("issue", (host, l) => {
      const { domid } = domainOf(l.number);
      const bio = `dom${domid}/bio/${l.name}`;
      const args = { number: l.number, endIo: l.endIo, args: l.args };
      spawnThread(host, bio, bioLife, args, { kind: "kthread", domid });
      enlist(host, domid, bio);
    }),
  ],
);

/** Whether pages of a disk's requests are still in use below it. */
export function pagesHeld(cells: Cells, number: string): boolean {
  return diskFault(cells, holdPage, number);
}
