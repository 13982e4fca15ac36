// SPDX-License-Identifier: Apache-2.0
//
// A journal into a store that was prepared and is empty. Frames are taken one
// after the other; the first that is not sound ends it. If nothing sound comes
// after that, it is what was being written when the writer died, and is cut off;
// nobody was told that it had happened. If something does, the journal is
// damaged, and nothing is made of it.

import { FRAME, frameAt, headerProblem, JOURNAL_HEADER_SIZE, laterFrame } from "./journal-frame.ts";
import type { Store } from "./ports.ts";
import { isStreamProblem, type StreamProblem } from "./stream.ts";
import { StreamReader } from "./stream-decode.ts";
import { loadRecord, startLoading } from "./stream-load.ts";

/** What came of a journal. */
export interface Replayed {
  /** The number of the next frame. */
  readonly next: number;
  /** Bytes that are sound: the journal is to be cut there. */
  readonly length: number;
  /** Bytes behind them, that are not. */
  readonly cut: number;
  readonly frames: number;
}

/** Replays a whole journal. On a problem the store is of no use. */
export function replayJournal(store: Store, bytes: Uint8Array): Replayed | StreamProblem {
  const problem = headerProblem(bytes);
  if (problem !== undefined) return { problem, offset: 0 };
  const loading = startLoading(store, 2);
  let whole = false;
  let at = JOURNAL_HEADER_SIZE;
  let number = 0;
  for (; at < bytes.length; number++) {
    const frame = frameAt(bytes, at);
    if (frame === undefined) {
      const later = laterFrame(bytes, at + 8, number);
      if (later < 0) break;
      return { problem: `a frame is damaged, and sound ones follow at ${later}`, offset: at };
    }
    if (frame.number !== number)
      return { problem: `frame ${number} is missing: frame ${frame.number} stands in its place`, offset: at };
    const wrong = replayFrame(loading, bytes, frame.start, frame.end);
    if (wrong !== undefined) return wrong;
    if (frame.kind === FRAME.CHECKPOINT_END) whole = true;
    at = frame.end;
  }
  if (!whole) return { problem: "the checkpoint the journal begins with does not end", offset: at };
  return { next: number, length: at, cut: bytes.length - at, frames: number };
}

function replayFrame(
  loading: ReturnType<typeof startLoading>,
  bytes: Uint8Array,
  start: number,
  end: number,
): StreamProblem | undefined {
  const reader = StreamReader.bare(bytes.subarray(start, end));
  while (!reader.atEnd) {
    const offset = start + reader.offset;
    const record = reader.next();
    if (record === "end") return { problem: "a record that should not be in a journal", offset };
    if (isStreamProblem(record)) return { problem: record.problem, offset };
    const problem = loadRecord(loading, record);
    if (problem !== undefined) return { problem, offset };
  }
  return undefined;
}
