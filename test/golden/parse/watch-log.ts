// SPDX-License-Identifier: Apache-2.0

import type { WatchLine } from "../recording.ts";
import { lines } from "./commands.ts";

/** Parses `watch.log`: the watcher on `/` (w1), `@introduceDomain` (w2), `@releaseDomain` (w3). */
export function parseWatchLog(text: string): WatchLine[] {
  const found: WatchLine[] = [];
  for (const line of lines(text)) {
    const m = /^ *([\d.]+) (?:(REGISTER) (\S+) (\S+)|(EVENT) (.*) token=(\S+))$/.exec(line);
    if (!m) continue;
    if (m[2]) found.push({ time: Number(m[1]), kind: "REGISTER", path: m[3]!, token: m[4]! });
    else found.push({ time: Number(m[1]), kind: "EVENT", path: m[6]!, token: m[7]! });
  }
  return found;
}
