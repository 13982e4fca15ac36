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
      found.push({
        time: Number(life[1]),
        kind: life[2] === "CREATE" ? "connect" : "disconnect",
        connection: life[3]!,
      });
    } else if (message) {
      const [time, connection, type, body] = [Number(message[1]), message[3]!, message[4]!, message[5]!];
      found.push(
        message[2] === "IN"
          ? { time, kind: "request", connection, type, body }
          : { time, kind: "reply", connection, type, body },
      );
    }
  }
  return found;
}
