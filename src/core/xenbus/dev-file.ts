// SPDX-License-Identifier: Apache-2.0
//
// What an open /dev/xen/xenbus has: the part of a message that was written, its
// transactions and watches, the requests it waits for (Linux
// drivers/xen/xenbus/xenbus_dev_frontend.c, struct xenbus_file_priv).

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { mailboxCell, post } from "../engine/mailbox.ts";
import { encode, readLatin1, readU32, XS } from "../xenstore/wire.ts";

/** A watch of a process's: the kernel registers it as one of its own. */
interface FileWatch {
  /** The kernel's token for it. */
  token: string;
  node: string;
  /** What the process named it. */
  named: string;
}

/** An open file. */
export interface XenbusFile {
  domid: number;
  /** What was written of a message that is not whole yet. */
  buffer: Uint8Array;
  /** Ids of transactions, the newest first; 0 for one whose start is not answered yet. */
  transactions: number[];
  watches: FileWatch[];
  /** Watches that were ever made: their tokens are numbered. */
  watchCount: number;
  /** Requests that are not answered yet: they keep the file. */
  requests: number;
  closed: boolean;
}

/** By `<domid>/<number>`. */
export const xenbusFileCell = cellType<XenbusFile>("xenbus-file");

/** The number of the file that was opened last, by domid. */
export const xenbusLastFileCell = cellType<{ number: number }>("xenbus-file-last");

/** Where what can be read from a file goes; its lock has the same name. */
export function fileMailbox(file: string): string {
  return `dom${file.replace("/", "/xenbus-file/")}`;
}

/** Begins the kernel's tokens of watches that are processes'. */
const FILE_WATCH = "file:";

/** The kernel's token of a file's next watch. */
export function nextToken(file: string, u: XenbusFile): string {
  return `${FILE_WATCH}${file}/${++u.watchCount}`;
}

/** Whether a watch of the kernel's, by its token, is a process's. */
export function isFileWatch(token: string): boolean {
  return token.startsWith(FILE_WATCH);
}

/** A message's header, as it was written. */
export interface Header {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly length: number;
}

export function headerOf(message: Uint8Array): Header {
  return {
    type: readU32(message, 0),
    reqId: readU32(message, 4),
    txId: readU32(message, 8),
    length: readU32(message, 12),
  };
}

/** Queues a message for the file's reader. Nobody reads from one that is closed. */
export function queueReply(
  cells: Cells,
  file: string,
  type: number,
  { reqId, txId }: Pick<Header, "reqId" | "txId">,
  body: string,
): void {
  if (cells.get(mailboxCell, fileMailbox(file)) === undefined) return;
  post(cells, fileMailbox(file), readLatin1(encode(type, reqId, txId, body), 0, 16 + body.length));
}

/** A file's transaction is over, or was never one. */
export function forgetTransaction(file: XenbusFile, txId: number): boolean {
  const at = file.transactions.indexOf(txId);
  if (at >= 0) file.transactions.splice(at, 1);
  return at >= 0;
}

/**
 * A file's request was answered. A start gives the transaction its number, an end takes it away whatever
 * it came to (xenbus_dev_queue_reply). What the kernel has no transaction for is never handed on.
 */
export function fileAnswered(
  cells: Cells,
  file: string,
  asked: Header,
  reply: { readonly type: number; readonly body: string },
): void {
  const u = cells.edit(xenbusFileCell, file);
  u.requests--;
  if (asked.type === XS.TRANSACTION_START) {
    const at = u.transactions.indexOf(0);
    if (reply.type === XS.ERROR) u.transactions.splice(at, 1);
    else u.transactions[at] = Number.parseInt(reply.body, 10) || 0;
  } else if (asked.type === XS.TRANSACTION_END && !forgetTransaction(u, asked.txId)) return;
  queueReply(cells, file, reply.type, asked, reply.body);
}
