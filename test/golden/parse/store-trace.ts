// SPDX-License-Identifier: Apache-2.0

import type { StoreLine } from "../recording.ts";
import { lines } from "./commands.ts";

/**
 * Parses C xenstored's trace (`xenstored -T`). Lines about its own
 * transactions and watches, and its remarks (`dropping duplicate watch`), say
 * nothing that the requests do not say.
 */
export function parseStoreTrace(text: string): StoreLine[] {
  const found: StoreLine[] = [];
  for (const line of lines(text)) {
    const life = /^ *([\d.]+) (CREATE|DESTROY) connection (\S+)$/.exec(line);
    const message = /^ *([\d.]+) (IN|OUT) (\S+) \d+ [\d:]+ (\w+) \((.*)\)$/s.exec(line);
    if (life) {
      found.push({ time: Number(life[1]), kind: life[2] === "CREATE" ? "connect" : "disconnect", connection: life[3]! });
    } else if (message) {
      found.push({
        time: Number(message[1]),
        kind: message[2] === "IN" ? "request" : "reply",
        connection: message[3]!,
        type: message[4]!,
        body: message[5]!,
      });
    }
  }
  return found;
}
