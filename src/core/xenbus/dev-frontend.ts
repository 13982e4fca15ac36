// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/xenbus: processes that reach xenstore through their kernel's connection
// (Linux drivers/xen/xenbus/xenbus_dev_frontend.c). Transactions and watches are
// kept by the kernel, which ends them with the file.

import { must } from "../engine/cells.ts";
import type { Plain } from "../engine/cells.ts";
import { fail, present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, mailboxCell, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import type { Caller } from "../hypervisor/caller.ts";
import { operation, restartable } from "../hypervisor/hypercall/operation.ts";
import { HEADER_SIZE, readLatin1, XS } from "../xenstore/wire.ts";
import {
  fileMailbox,
  headerOf,
  nextToken,
  queueReply,
  xenbusFileCell,
  xenbusLastFileCell,
} from "./dev-file.ts";
import type { Header } from "./dev-file.ts";
import { kthreadRun } from "./kthread.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "./watch.ts";
import { xenbusCell, xenbusRunning } from "./xenbus.ts";
import type { WatchEvent } from "./xenbus.ts";
import { xenbusTransactionEnd, xsSendForFile } from "./xs.ts";

/** A message's bytes, its header's among them (sizeof(u->u.buffer)). */
const BUFFER_BYTES = 4096;

/** Which open file is meant. */
interface OfFile {
  file: string;
}

/** xenbus_file_open, where there is a xenstore: what the file is called from now on. */
export function openFile(host: Host, domid: number): string {
  if (host.get(xenbusLastFileCell, domid) === undefined) host.add(xenbusLastFileCell, domid, { number: 0 });
  const file = `${domid}/${++host.edit(xenbusLastFileCell, domid).number}`;
  addMailbox(host, fileMailbox(file));
  host.add(xenbusFileCell, file, {
    domid,
    buffer: new Uint8Array(0),
    transactions: [],
    watches: [],
    watchCount: 0,
    requests: 0,
    closed: false,
  });
  return file;
}

/** Opens it for a process outside; ENOENT where there is no xenstore. */
export const openXenbusFile = operation("xenbus open", (host, { domid }: Caller) =>
  host.get(xenbusCell, domid) === undefined ? fail("ENOENT") : { file: openFile(host, domid) },
);

/** The reader has taken so many messages. */
export const xenbusFileRead = operation(
  "xenbus read",
  (host, _caller: Caller, { file, count }: OfFile & { count: number }) => {
    for (let taken = 0; taken < count; taken++) takeMessage(host, fileMailbox(file));
    return 0;
  },
);

/** What a whole message asks the kernel for. */
type Asked = "nothing" | "watch" | "unwatch" | "send";

interface WriteLocals extends OfFile {
  caller: Caller;
  bytes: Uint8Array;
  asked: Asked;
  node: string;
  named: string;
  token: string;
  errno: Errno | null;
}

/** The two strings of a watch's message; null where they are not both ended. */
function watchStrings(message: Uint8Array): { node: string; named: string } | null {
  const body = readLatin1(message, HEADER_SIZE, HEADER_SIZE + headerOf(message).length);
  const [node, named, ...more] = body.split("\0");
  return node === undefined || named === undefined || more.length === 0 ? null : { node, named };
}

/** Whether a transaction's end says how it ends. */
function endsWell(message: Uint8Array): boolean {
  return ["T\0", "F\0"].includes(readLatin1(message, HEADER_SIZE, HEADER_SIZE + headerOf(message).length));
}

/** What the kernel does with a message that is whole: it answers some itself. */
function take(host: Host, l: WriteLocals, message: Uint8Array): Asked {
  const header = headerOf(message);
  const { transactions } = must(host, xenbusFileCell, l.file);
  const refuse = (name: string): Asked => {
    queueReply(host, l.file, XS.ERROR, header, `${name}\0`);
    return "nothing";
  };
  if (header.type === XS.WATCH || header.type === XS.UNWATCH) {
    const strings = watchStrings(message);
    if (strings === null) return refuse("EINVAL");
    Object.assign(l, strings);
    return header.type === XS.WATCH ? "watch" : "unwatch";
  }
  if (header.type !== XS.TRANSACTION_START) {
    if (header.txId !== 0 && !transactions.includes(header.txId)) return refuse("ENOENT");
    if (header.type === XS.TRANSACTION_END && !endsWell(message)) return refuse("EINVAL");
  }
  return "send";
}

/** Adds what is written to what there is; what is too long or asks for too much is forgotten with all before it. */
function copyFromUser(host: Host, l: WriteLocals): void | ReturnType<typeof fail> {
  const u = host.edit(xenbusFileCell, l.file);
  const before = u.buffer;
  u.buffer = new Uint8Array(0);
  if (l.bytes.length > BUFFER_BYTES - before.length) return fail("EINVAL");
  const all = new Uint8Array(before.length + l.bytes.length);
  all.set(before);
  all.set(l.bytes, before.length);
  const header = all.length < HEADER_SIZE ? null : headerOf(all);
  if (header !== null && HEADER_SIZE + header.length > BUFFER_BYTES) return fail("E2BIG");
  if (header === null || all.length < HEADER_SIZE + header.length) {
    u.buffer = all;
    return undefined;
  }
  // What follows the message in the same write is lost.
  l.bytes = all.slice(0, HEADER_SIZE + header.length);
  l.asked = take(host, l, l.bytes);
  return undefined;
}

/** Sends a message on, for the file to be answered. */
function send(host: Host, l: WriteLocals): void {
  const header = headerOf(l.bytes);
  const u = host.edit(xenbusFileCell, l.file);
  if (header.type === XS.TRANSACTION_START) u.transactions.unshift(0);
  u.requests++;
  const body = readLatin1(l.bytes, HEADER_SIZE, l.bytes.length);
  xsSendForFile(host, u.domid, header, body, l.file);
}

const watchCallback = routine(
  "watch_fired [xenbus_dev_frontend]",
  (a: WatchEvent) => ({ ...a }),
  ({ step }) => [
    step("queue_reply", (host, { owner, token, path }) => {
      const named = host.get(xenbusFileCell, owner)?.watches.find((watch) => watch.token === token)?.named;
      if (named !== undefined)
        queueReply(host, owner, XS.WATCH_EVENT, { reqId: 0, txId: 0 }, `${path}\0${named}\0`);
    }),
  ],
);

/** The kernel's own answer to a watch that was set or taken back. */
function ok(host: Host, l: WriteLocals): void {
  const header: Header = headerOf(l.bytes);
  queueReply(host, l.file, header.type, header, "OK\0");
}

/**
 * xenbus_file_write: gives the number of bytes that were written. EINVAL for more than a message can have,
 * E2BIG where its header says so, and xenstored's error where it refuses a watch.
 */
export const xenbusFileWriteRoutine = routine(
  "xenbus_file_write",
  (a: OfFile & { bytes: Uint8Array; caller: Caller }): WriteLocals & { length: number } => ({
    ...a,
    length: a.bytes.length,
    asked: "nothing",
    node: "",
    named: "",
    token: "",
    errno: null,
  }),
  ({ step, call, when, attempt, failWith, waitFor, locked }) => [
    locked("msgbuffer_mutex", (l) => fileMailbox(l.file), [
      when("something", (l) => l.length > 0, [step("copy_from_user", copyFromUser)]),
      when("XS_WATCH", (l) => l.asked === "watch", [
        step("alloc_watch_adapter", (host, l) => {
          const u = host.edit(xenbusFileCell, l.file);
          l.token = nextToken(l.file, u);
          u.watches.unshift({ token: l.token, node: l.node, named: l.named });
        }),
        attempt([
          call("register_xenbus_watch", registerXenbusWatch, (l) => ({
            domid: l.caller.domid,
            node: l.node,
            token: l.token,
            callback: watchCallback.name,
            owner: l.file,
          })),
        ]).onError(
          (l, errno) => void (l.errno = errno),
          [
            step("free_watch_adapter", (host, l) => {
              const u = host.edit(xenbusFileCell, l.file);
              u.watches = u.watches.filter(({ token }) => token !== l.token);
            }),
            failWith("refused", (l) => present(l.errno)),
          ],
        ),
        step("watch OK", ok),
      ]),
      when("XS_UNWATCH", (l) => l.asked === "unwatch", [
        step("list_for_each_entry", (host, l) => {
          const { watches } = must(host, xenbusFileCell, l.file);
          l.token = watches.find(({ node, named }) => node === l.node && named === l.named)?.token ?? "";
        }),
        when("its own", (l) => l.token !== "", [
          call("unregister_xenbus_watch", unregisterXenbusWatch, (l) => ({
            domid: l.caller.domid,
            token: l.token,
          })),
          step("list_del", (host, l) => {
            const u = host.edit(xenbusFileCell, l.file);
            u.watches = u.watches.filter(({ token }) => token !== l.token);
          }),
        ]),
        step("unwatch OK", ok),
      ]),
      when("for xenstored", (l) => l.asked === "send", [
        waitFor("xs_request_enter", (host, l) => xenbusRunning(host, l.caller.domid)),
        step("xs_send", send),
      ]),
    ]),
  ],
  (l) => l.length as Plain,
);

export const xenbusFileWrite = restartable("xenbus write", xenbusFileWriteRoutine);

/** What is left of a closed file: its transactions are aborted, its watches taken back (xenbus_worker). */
const xenbusWorker = routine(
  "xenbus_worker",
  (a: OfFile & { domid: number }) => ({
    ...a,
    transactions: [] as number[],
    tokens: [] as string[],
    tx: 0,
    token: "",
  }),
  ({ step, each, call, attempt, waitFor }) => [
    waitFor("kref_put", (host, l) => must(host, xenbusFileCell, l.file).requests === 0),
    step("container_of", (host, l) => {
      const { transactions, watches } = must(host, xenbusFileCell, l.file);
      l.transactions = [...transactions];
      l.tokens = watches.map(({ token }) => token);
    }),
    each(
      "transactions",
      (l) => l.transactions,
      (l, tx) => void (l.tx = tx),
      [
        attempt([
          call("xenbus_transaction_end", xenbusTransactionEnd, (l) => ({
            domid: l.domid,
            tx: l.tx,
            abort: true,
          })),
        ]).onError(() => {}, []),
      ],
    ),
    each(
      "watches",
      (l) => l.tokens,
      (l, token) => void (l.token = token),
      [
        call("unregister_xenbus_watch", unregisterXenbusWatch, (l) => ({
          domid: l.domid,
          token: l.token,
        })),
      ],
    ),
    step("kfree(u)", (host, l) => host.drop(xenbusFileCell, l.file)),
  ],
);

/** xenbus_file_release: what is not answered yet keeps the file, but nobody reads from it. */
export function releaseFile(host: Host, file: string): void {
  const u = host.edit(xenbusFileCell, file);
  u.closed = true;
  host.drop(mailboxCell, fileMailbox(file));
  const [, number = ""] = file.split("/");
  kthreadRun(host, u.domid, `kworker/xenbus-file-${number}`, xenbusWorker, { domid: u.domid, file });
}

export const closeXenbusFile = operation("xenbus release", (host, _caller: Caller, { file }: OfFile) => {
  releaseFile(host, file);
  return 0;
});
