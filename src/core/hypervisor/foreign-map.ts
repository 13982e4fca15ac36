// SPDX-License-Identifier: Apache-2.0
//
// Another domain's frames, mapped and unmapped many at a time: what the kernel
// makes of IOCTL_PRIVCMD_MMAPBATCH and of munmap(), an mmu_update of as many
// entries. What becomes of each page is what mapForeign would make of it.

import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { willForget } from "./forgotten-puts.ts";
import { eachRun, frameCount } from "./frame-runs.ts";
import type { FrameRuns } from "./frame-runs.ts";
import { ownedFrom } from "./frames.ts";
import { isM2pFrame } from "./m2p.ts";
import { addMappedRun, mappedRunAt, takeOutOfRun } from "./mapped-run.ts";
import { mapFrame, takesType, unmapFrame } from "./mapping.ts";
import { isPod, p2m } from "./p2m.ts";
import { nextPage, pageOf } from "./page.ts";
import { getGfn } from "./pod-populate.ts";
import { FRAMES_MAX, NO_FRAME, runFrom } from "./runs.ts";
import type { Run } from "./runs.ts";

/** What became of a batch's pages, in their order. */
export interface MappedFrames {
  /** Machine frames; runs of NO_FRAME where pages could not be mapped. */
  readonly mfns: FrameRuns;
  /** Why not: as many pages from a page of the batch on. */
  readonly errors: readonly { readonly page: number; readonly count: number; readonly errno: Errno }[];
}

/** Collects what becomes of one page after another. */
class Outcome implements MappedFrames {
  readonly mfns: number[] = [];
  readonly errors: { page: number; count: number; errno: Errno }[] = [];
  #pages = 0;

  mapped(mfn: number, count: number): void {
    this.#add(mfn, count);
  }

  refused(count: number, errno: Errno): void {
    const last = this.errors.at(-1);
    if (last !== undefined && last.page + last.count === this.#pages && last.errno === errno)
      last.count += count;
    else this.errors.push({ page: this.#pages, count, errno });
    this.#add(NO_FRAME, count);
  }

  #add(mfn: number, count: number): void {
    const at = this.mfns.length - 2;
    const first = this.mfns[at];
    const before = this.mfns[at + 1] ?? 0;
    const next = first === NO_FRAME ? NO_FRAME : (first ?? Number.NaN) + before;
    if (mfn === next) this.mfns[at + 1] = before + count;
    else this.mfns.push(mfn, count);
    this.#pages += count;
  }
}

/** Maps frames of a domain for a process: every page has a result of its own; ESRCH, EPERM for all of them. */
export function mapForeignBatch(
  host: Host,
  caller: Caller,
  { domid, gfns, readonly }: { domid: number; gfns: FrameRuns; readonly: boolean },
): MappedFrames | Failure {
  const op = "mmu_update map_foreign";
  const args = { gfn: gfns[0] ?? 0, nr: frameCount(gfns), readonly: Number(readonly) };
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return traced(host, caller, op, domid, args, d);
  const outcome = new Outcome();
  const frames = new Frames(host, d);
  const { domid: mapper, process } = caller;
  const typed = takesType(host, mapper, d.domid, readonly);
  for (const [gfn, count] of eachRun(gfns)) {
    for (let done = 0; done < count;) {
      if (!frames.populated(gfn + done, mapper)) {
        outcome.refused(1, "EINVAL");
        done++;
        continue;
      }
      const { mfn, count: together } = frames.translated(gfn + done, count - done);
      const plain = mfn === NO_FRAME ? 0 : frames.plainFrom(mfn, together);
      if (mfn === NO_FRAME) outcome.refused(together, "EINVAL");
      else if (plain > 0) {
        addMappedRun(host, { first: mfn, owner: d.domid, mapper, process, readonly, typed }, plain);
        outcome.mapped(mfn, plain);
        frames.noLongerPlain(mfn + plain);
      } else mapOne(host, caller, d, mfn, readonly, outcome);
      done += mfn === NO_FRAME ? together : Math.max(plain, 1);
    }
  }
  const [refused] = outcome.errors;
  const none = refused !== undefined && refused.count === args.nr;
  traced(host, caller, op, d.domid, args, none ? fail(refused.errno) : 0, () => ({
    mapped: args.nr - outcome.errors.reduce((sum, { count }) => sum + count, 0),
  }));
  return outcome;
}

/** A range of numbers. */
interface Range {
  readonly start: number;
  readonly count: number;
}

function isIn<R extends Range>(range: R | undefined, value: number): range is R {
  return range !== undefined && value >= range.start && value < range.start + range.count;
}

/** What a batch asks of a domain's frames: neighbours are in the same runs, which are looked up once. */
class Frames {
  readonly #host: Host;
  readonly #d: DeepReadonly<Domain>;
  readonly #translates: boolean;
  #guest: Run | undefined;
  #owned: Range | undefined;
  /** Frames known to be no more than allocated, if they are the domain's. */
  #plain: Range = { start: 0, count: 0 };

  constructor(host: Host, d: DeepReadonly<Domain>) {
    this.#host = host;
    this.#d = d;
    this.#translates = pagingModeTranslate(d);
  }

  /** The run a guest frame is in, or else the next one. */
  #runFrom(gfn: number): Run | undefined {
    if (!isIn(this.#guest, gfn)) this.#guest = runFrom(this.#host, p2m(this.#d.domid), gfn);
    return this.#guest;
  }

  /** Whether a guest frame is to be populated on demand and is not yet. */
  isOnDemand(gfn: number): boolean {
    const run = this.#translates ? this.#runFrom(gfn) : undefined;
    return isIn(run, gfn) && isPod(run.tag);
  }

  /** Populates a guest frame that waits for it; false where there is no memory left for that. */
  populated(gfn: number, by: number): boolean {
    if (!this.isOnDemand(gfn)) return true;
    this.#guest = undefined;
    return getGfn(this.#host, this.#d, gfn, by) !== NO_FRAME;
  }

  /** The machine frames behind guest frames, as far as they are consecutive; or how many have none. */
  translated(gfn: number, count: number): { mfn: number; count: number } {
    if (!this.#translates) return { mfn: gfn, count };
    const run = this.#runFrom(gfn);
    if (run === undefined || run.start > gfn)
      return { mfn: NO_FRAME, count: Math.min(count, (run?.start ?? Infinity) - gfn) };
    const left = Math.min(count, run.start + run.count - gfn);
    const mfn = run.value === NO_FRAME ? NO_FRAME : run.value + gfn - run.start;
    return { mfn, count: left };
  }

  /** How many frames from one on, up to a number, are the domain's and no more than allocated. */
  plainFrom(mfn: number, count: number): number {
    if (!isIn(this.#owned, mfn))
      this.#owned = { start: mfn, count: ownedFrom(this.#host, this.#d.domid, mfn) };
    if (!isIn(this.#owned, mfn)) return 0;
    if (!isIn(this.#plain, mfn)) {
      const page = nextPage(this.#host, mfn);
      this.#plain = { start: mfn, count: page < 0 ? Infinity : page - mfn };
    }
    const left = ({ start, count: all }: Range): number => start + all - mfn;
    return Math.min(count, left(this.#owned), left(this.#plain));
  }

  /** Frames below one have become more than allocated. */
  noLongerPlain(below: number): void {
    const { start, count } = this.#plain;
    this.#plain = { start: below, count: start + count - below };
  }
}

/**
 * Whether none of the frames is there, so that a batch of them changes nothing: xl dump-core asks for every
 * guest frame below the highest, a million of which a small guest has none of.
 */
export function mapsNothing(host: Host, caller: Caller, domid: number, gfns: FrameRuns): boolean {
  const d = targeted(host, caller, domid);
  if (isFailure(d) || !pagingModeTranslate(d)) return false;
  const frames = new Frames(host, d);
  for (const [gfn, asked] of eachRun(gfns)) {
    const { mfn, count } = frames.translated(gfn, asked);
    if (mfn !== NO_FRAME || count < asked || frames.isOnDemand(gfn)) return false;
  }
  return true;
}

/** The last frame before the next one a domain has, from one on that it has not; EINVAL where it may have that. */
export function lastMissingFrame(host: Host, caller: Caller, domid: number, gfn: number): number | Failure {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return d;
  if (!pagingModeTranslate(d) || gfn >= FRAMES_MAX) return fail("EINVAL");
  const next = runFrom(host, p2m(domid), gfn);
  if (next === undefined) return FRAMES_MAX - 1;
  return next.start > gfn ? next.start - 1 : fail("EINVAL");
}

/** A page somebody holds already, or that is not the domain's. */
function mapOne(
  host: Host,
  caller: Caller,
  d: DeepReadonly<Domain>,
  mfn: number,
  readonly: boolean,
  outcome: Outcome,
): void {
  const mapped =
    pageOf(host, mfn) === undefined
      ? fail(pagingModeTranslate(d) ? "EINVAL" : "EBUSY")
      : mapFrame(host, caller.domid, caller.process, "foreign map", d.domid, mfn, readonly);
  if (isFailure(mapped)) outcome.refused(1, mapped.errno);
  else outcome.mapped(mfn, 1);
}

/** Takes frames out again; EINVAL where that process does not map one of them so, and the others are. */
export function unmapForeignBatch(
  host: Host,
  caller: Caller,
  { mfns, readonly }: { mfns: FrameRuns; readonly: boolean },
): 0 | Failure {
  const [first = 0] = mfns;
  const dom = pageOf(host, first)?.owner ?? -1;
  let result: 0 | Failure = 0;
  for (const [mfn, count] of eachRun(mfns)) {
    // The machine-to-physical table is nobody's: nothing was taken.
    if (isM2pFrame(host, mfn)) continue;
    for (let done = 0; done < count;) {
      const together = unmapPart(host, caller, mfn + done, count - done, readonly);
      const unmapped =
        together > 0
          ? 0
          : unmapFrame(host, caller.domid, caller.process, "foreign map", mfn + done, readonly);
      if (isFailure(unmapped)) result = unmapped;
      done += Math.max(together, 1);
    }
  }
  const args = { mfn: first, nr: frameCount(mfns), readonly: Number(readonly) };
  return traced(host, caller, "mmu_update unmap_foreign", dom, args, result);
}

/** Unmaps frames of one run: how many. None where the first is in no run of that process, or has to go alone. */
function unmapPart(host: Host, caller: Caller, mfn: number, count: number, readonly: boolean): number {
  const found = mappedRunAt(host, mfn);
  if (found === undefined) return 0;
  const { owner, mapper, process, readonly: mapped } = found.run;
  if (mapper !== caller.domid || process !== caller.process || mapped !== readonly) return 0;
  if (willForget(host, owner, "foreign map")) return 0;
  const part = Math.min(count, found.last + 1 - mfn);
  takeOutOfRun(host, found, mfn, part);
  return part;
}
