// SPDX-License-Identifier: Apache-2.0
//
// Lists of frame numbers as runs of consecutive ones: what a toolstack asks for
// by the thousand is mostly a few runs, and is recorded as such.

/** First frame and count, first frame and count, …, in the order of the list. */
export type FrameRuns = readonly number[];

/** The runs of a list of frames. */
export function frameRuns(frames: Iterable<number>): number[] {
  const runs: number[] = [];
  let next = Number.NaN;
  for (const frame of frames) {
    if (frame === next) runs[runs.length - 1] = (runs[runs.length - 1] as number) + 1;
    else runs.push(frame, 1);
    next = frame + 1;
  }
  return runs;
}

/** Each run as its first frame and its count. */
export function* eachRun(runs: FrameRuns): Generator<[first: number, count: number]> {
  for (let at = 0; at < runs.length; at += 2) yield [runs[at] as number, runs[at + 1] as number];
}

/** How many frames a list has. */
export function frameCount(runs: FrameRuns): number {
  let count = 0;
  for (let at = 1; at < runs.length; at += 2) count += runs[at] as number;
  return count;
}
