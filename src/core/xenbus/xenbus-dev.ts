// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/xenbus: a domain's processes talk to xenstore over its kernel's ring.
// Requests and replies pass through as they are; watches are the kernel's, which
// sends their events on; what a process leaves behind is taken back when it closes
// (Linux drivers/xen/xenbus/xenbus_dev_frontend.c).

import { cellType, must } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { addMailbox, hasMessage, mailboxCell, takeMessage } from "../engine/mailbox.ts";
import { routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread } from "../engine/thread.ts";
import {
  closeByServer,
  isOpen,
  readyMailbox,
  sendToClient,
  serverReceives,
  serverTakes,
} from "../daemons/unix-socket.ts";
import { xenstoreOf } from "../daemons/xs-client.ts";
import { encode, parse, readLatin1, XS } from "../xenstore/wire.ts";
import { taskRun } from "./kthread.ts";
import { registerXenbusWatch, unregisterXenbusWatch } from "./watch.ts";
import type { WatchEvent } from "./xenbus.ts";
import { XBT_NIL, xenbusTransactionEnd, xsTalkv } from "./xs.ts";

/** A watch of a process's: the kernel's token for it, and what it was asked for with. */
type FileWatch = { kernel: string; node: string; token: string };

/** An open file (struct xenbus_file_priv), by its socket's name. */
export const xenbusFileCell = cellType<{
  domid: number;
  transactions: number[];
  watches: FileWatch[];
  /** Watches it ever had: the kernel's tokens for them differ. */
  count: number;
}>("xenbus-file");

/** A message of a process's; null at the end of them. */
type Request = { type: number; reqId: number; tx: number; body: string };

/** Whether a whole message is there, or none will ever be. */
function messagePending(host: Host, socket: string): boolean {
  const { bytes, closed } = serverReceives(host, socket);
  return closed || parse(bytes, 0).state !== "need-more";
}

/** The first message; null where the file is closed, or what was written is no message. */
function takeRequest(host: Host, socket: string): Request | null {
  const { bytes } = serverReceives(host, socket);
  const packet = parse(bytes, 0);
  if (packet.state !== "packet") return null;
  const request = {
    type: packet.type,
    reqId: packet.reqId,
    tx: packet.txId,
    body: readLatin1(bytes, packet.start, packet.end),
  };
  serverTakes(host, socket, packet.end);
  return request;
}

interface FileLocals {
  domid: number;
  socket: string;
  request: Request | null;
  over: boolean;
  reply: string;
  errno: Errno | null;
  /** The watch a request is about, or the one that is taken back. */
  watch: FileWatch | null;
  tx: number;
}

const requestOf = (l: FileLocals): Request => l.request as Request;

/** What may be passed on (xenbus_write_transaction); null where it may. */
function refuse(host: Host, { socket, request }: FileLocals): Errno | null {
  const { type, tx, body } = request as Request;
  const { transactions } = must(host, xenbusFileCell, socket);
  if (type !== XS.TRANSACTION_START && tx !== XBT_NIL && !transactions.includes(tx)) return "ENOENT";
  return type === XS.TRANSACTION_END && body !== "T\0" && body !== "F\0" ? "EINVAL" : null;
}

/** Notes the transactions a process has open. */
function noteTransaction(host: Host, { socket, request, reply, errno }: FileLocals): void {
  const { type, tx } = request as Request;
  if (type === XS.TRANSACTION_START && errno === null)
    host.edit(xenbusFileCell, socket).transactions.push(Number.parseInt(reply, 10) || 0);
  if (type !== XS.TRANSACTION_END) return;
  const file = host.edit(xenbusFileCell, socket);
  file.transactions = file.transactions.filter((other) => other !== tx);
}

/** A reply to the process: what xenstored said, or an error. */
function queueReply(host: Host, { socket, request, reply, errno }: FileLocals): void {
  const { type, reqId, tx } = request as Request;
  const bytes = errno === null ? encode(type, reqId, tx, reply) : encode(XS.ERROR, reqId, tx, `${errno}\0`);
  sendToClient(host, socket, bytes);
}

/** The watch that a request to watch, or to watch no longer, names; null where it names none. */
function findWatch(host: Host, l: FileLocals): FileWatch | null {
  const { type, body } = requestOf(l);
  const [node = "", token = "", ...more] = body.split("\0");
  if (more.length === 0) {
    l.errno = "EINVAL";
    return null;
  }
  if (type === XS.UNWATCH)
    return (
      must(host, xenbusFileCell, l.socket).watches.find(
        (watch) => watch.node === node && watch.token === token,
      ) ?? null
    );
  const kernel = `xenbus_dev/${l.socket}/${host.edit(xenbusFileCell, l.socket).count++}`;
  return { kernel, node, token };
}

/** Whether a watch of the kernel's, by its token, is a process's. */
export function isFileWatch(token: string): boolean {
  return token.startsWith("xenbus_dev/");
}

/** An event of a watch of a process's goes to it, with the token it gave. */
const watchFired = routine(
  "watch_fired [xenbus_dev_frontend]",
  (a: WatchEvent) => ({ ...a }),
  ({ step }) => [
    step("queue_reply", (host, { token, path }) => {
      const [, socket = ""] = /^xenbus_dev\/(.*)\/\d+$/.exec(token) ?? [];
      const watch = host.get(xenbusFileCell, socket)?.watches.find(({ kernel }) => kernel === token);
      if (watch !== undefined && isOpen(host, socket))
        sendToClient(host, socket, encode(XS.WATCH_EVENT, 0, XBT_NIL, `${path}\0${watch.token}\0`));
    }),
  ],
);

/** XS_WATCH and XS_UNWATCH. What the kernel is refused, the process is told: a real one fails its write(). */
const writeWatch = routine(
  "xenbus_write_watch",
  (a: FileLocals) => ({ ...a }),
  ({ step, when, attempt, call }) => [
    step("alloc_watch_adapter", (host, l) => {
      l.watch = findWatch(host, l);
      l.reply = "OK\0";
      // Events may come before the reply does.
      if (l.watch !== null && requestOf(l).type === XS.WATCH)
        host.edit(xenbusFileCell, l.socket).watches.push({ ...l.watch });
    }),
    when("a watch", (l) => l.watch !== null, [
      when(
        "XS_WATCH",
        (l) => requestOf(l).type === XS.WATCH,
        [
          attempt([
            call("register_xenbus_watch", registerXenbusWatch, ({ domid, watch }) => ({
              domid,
              node: watch?.node ?? "",
              token: watch?.kernel ?? "",
              callback: watchFired.name,
            })),
          ]).onError(
            (l, errno) => void (l.errno = errno),
            [step("free_watch_adapter", (host, l) => forgetWatch(host, l))],
          ),
        ],
        [
          call("unregister_xenbus_watch", unregisterXenbusWatch, ({ domid, watch }) => ({
            domid,
            token: watch?.kernel ?? "",
          })),
          step("list_del", (host, l) => forgetWatch(host, l)),
        ],
      ),
    ]),
    step("reply", (host, l) => queueReply(host, l)),
  ],
);

function forgetWatch(host: Host, { socket, watch }: FileLocals): void {
  const file = host.edit(xenbusFileCell, socket);
  file.watches = file.watches.filter(({ kernel }) => kernel !== watch?.kernel);
}

/** Any other request goes to xenstored as it is. */
const writeTransaction = routine(
  "xenbus_write_transaction",
  (a: FileLocals) => ({ ...a }),
  ({ step, when, attempt, call }) => [
    step("xenbus_get_transaction", (host, l) => void (l.errno = refuse(host, l))),
    when("may be sent", (l) => l.errno === null, [
      attempt([
        call(
          "xenbus_dev_request_and_reply",
          xsTalkv,
          ({ domid, request }) => {
            const { type, tx, body } = request as Request;
            return { domid, type, tx, body };
          },
          (l, reply) => void (l.reply = reply),
        ),
      ]).onError((l, errno) => void (l.errno = errno), []),
      step("list of transactions", (host, l) => noteTransaction(host, l)),
    ]),
    step("reply", (host, l) => queueReply(host, l)),
  ],
);

/** What a process has left: transactions are ended, watches taken back. */
const fileRelease = routine(
  "xenbus_file_release",
  (a: { domid: number; socket: string }) => ({
    ...a,
    transactions: [] as number[],
    watches: [] as FileWatch[],
    tx: 0,
    token: "",
  }),
  ({ step, each, attempt, call }) => [
    step("what it has", (host, l) => {
      const { transactions, watches } = must(host, xenbusFileCell, l.socket);
      l.transactions = [...transactions];
      l.watches = watches.map((watch) => ({ ...watch }));
    }),
    each(
      "transactions",
      (l) => l.transactions,
      (l, tx) => void (l.tx = tx),
      [
        attempt([
          call("xenbus_transaction_end", xenbusTransactionEnd, ({ domid, tx }) => ({
            domid,
            tx,
            abort: true,
          })),
        ]).onError(() => {}, []),
      ],
    ),
    each(
      "watches",
      (l) => l.watches,
      (l, { kernel }) => void (l.token = kernel),
      [call("unregister_xenbus_watch", unregisterXenbusWatch, ({ domid, token }) => ({ domid, token }))],
    ),
    step("kfree(u)", (host, l) => forgetFile(host, l.socket)),
  ],
);

function forgetFile(host: Host, socket: string): void {
  host.drop(xenbusFileCell, socket);
  if (isOpen(host, socket)) closeByServer(host, socket);
}

/** An open file: its process's requests one after another. */
const xenbusFile = routine(
  "xenbus_file_write",
  (a: { domid: number; socket: string }): FileLocals => ({
    ...a,
    request: null,
    over: false,
    reply: "",
    errno: null,
    watch: null,
    tx: 0,
  }),
  ({ repeatUntil, waitFor, step, when, call }) => [
    repeatUntil("closed", (l) => l.over, [
      waitFor("a message", (host, l) => messagePending(host, l.socket)),
      step("copy_from_user", (host, l) => {
        l.request = takeRequest(host, l.socket);
        l.over = l.request === null;
        l.errno = null;
      }),
      when("a request", (l) => !l.over, [
        when(
          "about a watch",
          (l) => requestOf(l).type === XS.WATCH || requestOf(l).type === XS.UNWATCH,
          [call("xenbus_write_watch", writeWatch, (l) => l)],
          [call("xenbus_write_transaction", writeTransaction, (l) => l)],
        ),
      ]),
    ]),
    call("release", fileRelease, ({ domid, socket }) => ({ domid, socket })),
  ],
);

/** Opens a file for each process that says its first word. */
const openFiles = routine(
  "xenbus_file_open",
  (a: { domid: number }) => ({ ...a }),
  ({ forever, waitFor, step }) => [
    forever("processes", [
      waitFor("open", (host, l) => hasMessage(host, readyMailbox(xenstoreOf(l.domid)))),
      step("kzalloc", (host, { domid }) => {
        const socket = takeMessage(host, readyMailbox(xenstoreOf(domid))) as string;
        if (!isOpen(host, socket)) return;
        host.add(xenbusFileCell, socket, { domid, transactions: [], watches: [], count: 0 });
        const thread = `dom${domid}/xenbus_dev/${socket}`;
        spawnThread(host, thread, xenbusFile, { domid, socket }, { kind: "process", domid });
        enlist(host, domid, thread);
      }),
    ]),
  ],
);

/** Whether a domain's kernel has the device: whether it has processes that talk to xenstore. */
export function hasXenbusDev(host: Host, domid: number): boolean {
  return host.get(mailboxCell, readyMailbox(xenstoreOf(domid))) !== undefined;
}

/** Registers the device in a domain's kernel, which talks to xenstore already. Does nothing where it has it. */
export function xenbusDevInit(host: Host, domid: number): void {
  if (hasXenbusDev(host, domid)) return;
  addMailbox(host, readyMailbox(xenstoreOf(domid)));
  taskRun(host, domid, "xenbus_dev", openFiles, { domid });
}

/** Forgets the device of a kernel that is no more, and every open file: whoever has one reads its end. */
export function forgetXenbusDev(host: Host, domid: number): void {
  if (!hasXenbusDev(host, domid)) return;
  for (const socket of host.ids(xenbusFileCell).map(String))
    if (must(host, xenbusFileCell, socket).domid === domid) forgetFile(host, socket);
  host.drop(mailboxCell, readyMailbox(xenstoreOf(domid)));
}
