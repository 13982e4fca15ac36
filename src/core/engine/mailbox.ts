// SPDX-License-Identifier: Apache-2.0
//
// An ordered list of messages for one reader, as a cell of its own.

import { cellType } from "./cells.ts";
import type { Cells, Plain } from "./cells.ts";

/** Messages not yet taken, oldest first. An empty mailbox has its cell all the same. */
export const mailboxCell = cellType<{ messages: Plain[] }>("mailbox");

/** Makes an empty mailbox. Throws where one of that name exists. */
export function addMailbox(cells: Cells, name: string): void {
  cells.add(mailboxCell, name, { messages: [] });
}

/** Puts a message at the end. */
export function post(cells: Cells, name: string, message: Plain): void {
  cells.edit(mailboxCell, name).messages.push(message);
}

/** Whether a message waits: the condition to `waitFor` before `takeMessage`. */
export function hasMessage(cells: Cells, name: string): boolean {
  return (cells.get(mailboxCell, name)?.messages.length ?? 0) > 0;
}

/** Takes the oldest message; undefined where there is none. */
export function takeMessage(cells: Cells, name: string): Plain | undefined {
  return hasMessage(cells, name) ? cells.edit(mailboxCell, name).messages.shift() : undefined;
}
