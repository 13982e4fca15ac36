// SPDX-License-Identifier: Apache-2.0
//
// /dev/xen/xenbus for processes that are data, those of a driver domain: a socket
// stands for each one's open file, and a thread for what the process does with it.

import { cellType, must } from "../engine/cells.ts";
import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { input } from "../engine/input.ts";
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
import { encode, parse, writeLatin1, XS } from "../xenstore/wire.ts";
import { fileMailbox, headerOf, xenbusFileCell, xenbusLastFileCell } from "./dev-file.ts";
import { openFile, releaseFile, xenbusFileWriteRoutine } from "./dev-frontend.ts";
import { taskRun } from "./kthread.ts";

/** The file behind a process's socket, by the socket's name. */
const fileOfSocketCell = cellType<{ domid: number; file: string }>("xenbus-socket");

/** Whether a whole message is there, or none will ever be. */
function messagePending(host: Host, socket: string): boolean {
  const { bytes, closed } = serverReceives(host, socket);
  return closed || parse(bytes, 0).state !== "need-more";
}

/** The bytes of the first message; null where the process is done, or what it wrote is no message. */
function takeRequest(host: Host, socket: string): Uint8Array | null {
  const { bytes } = serverReceives(host, socket);
  const packet = parse(bytes, 0);
  if (packet.state !== "packet") return null;
  const message = bytes.slice(0, packet.end);
  serverTakes(host, socket, packet.end);
  return message;
}

/** Hands the process what it can read. */
function forward(host: Host, file: string, socket: string): void {
  while (hasMessage(host, fileMailbox(file))) {
    const message = takeMessage(host, fileMailbox(file)) as string;
    const bytes = new Uint8Array(message.length);
    writeLatin1(bytes, 0, message);
    if (isOpen(host, socket)) sendToClient(host, socket, bytes);
  }
}

/** What a process does with its open file: it writes its messages and reads what there is. */
const fileProcess = routine(
  "xenbus_dev process",
  (a: { domid: number; socket: string; file: string }) => ({
    ...a,
    message: null as Uint8Array | null,
    over: false,
    errno: null as Errno | null,
  }),
  ({ repeatUntil, waitFor, step, when, call, attempt }) => [
    repeatUntil("closed", (l) => l.over, [
      waitFor(
        "read or write",
        (host, l) => messagePending(host, l.socket) || hasMessage(host, fileMailbox(l.file)),
      ),
      step("xenbus_file_read", (host, l) => {
        forward(host, l.file, l.socket);
        const pending = messagePending(host, l.socket);
        l.message = pending ? takeRequest(host, l.socket) : null;
        l.over = pending && l.message === null;
      }),
      when("writes", (l) => l.message !== null, [
        attempt([
          call("write", xenbusFileWriteRoutine, (l) => ({
            file: l.file,
            bytes: present(l.message),
            caller: { domid: l.domid, process: l.socket },
          })),
        ]).onError(
          (l, errno) => void (l.errno = errno),
          [
            // A real one hears it from write().
            step("write failed", (host, l) => {
              const { reqId, txId } = headerOf(present(l.message));
              if (isOpen(host, l.socket))
                sendToClient(host, l.socket, encode(XS.ERROR, reqId, txId, `${l.errno}\0`));
            }),
          ],
        ),
      ]),
    ]),
    step("close", (host, l) => {
      releaseFile(host, l.file);
      forgetSocket(host, l.socket);
    }),
  ],
);

function forgetSocket(host: Host, socket: string): void {
  host.drop(fileOfSocketCell, socket);
  if (isOpen(host, socket)) closeByServer(host, socket);
}

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
        const file = openFile(host, domid);
        host.add(fileOfSocketCell, socket, { domid, file });
        const thread = `dom${domid}/xenbus_dev/${socket}`;
        spawnThread(host, thread, fileProcess, { domid, socket, file }, { kind: "process", domid });
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

/** Programs from outside are about to run in a domain: its kernel gives its processes a way to xenstore. */
export const domainEntered = input("domain.enter", (host, { domid }: { domid: number }) => {
  xenbusDevInit(host, domid);
});

/** Forgets the device of a kernel that is no more, and every open file: whoever has one reads its end. */
export function forgetXenbusDev(host: Host, domid: number): void {
  if (!hasXenbusDev(host, domid)) return;
  for (const socket of host.ids(fileOfSocketCell).map(String))
    if (must(host, fileOfSocketCell, socket).domid === domid) forgetSocket(host, socket);
  for (const file of host.ids(xenbusFileCell).map(String)) {
    if (must(host, xenbusFileCell, file).domid !== domid) continue;
    host.drop(xenbusFileCell, file);
    if (host.get(mailboxCell, fileMailbox(file)) !== undefined) host.drop(mailboxCell, fileMailbox(file));
  }
  host.drop(mailboxCell, readyMailbox(xenstoreOf(domid)));
  if (host.get(xenbusLastFileCell, domid) !== undefined) host.drop(xenbusLastFileCell, domid);
}
