// SPDX-License-Identifier: Apache-2.0
//
// The thread that moves bytes between a kernel and its xenstore ring: requests
// out, replies to whoever waits, watch events to mailboxes (Linux
// drivers/xen/xenbus/xenbus_comms.c).

import { must } from "../engine/cells.ts";
import { errnoNumber, fail, isFailure, present } from "../engine/errno.ts";
import type { Errno, Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { evtchnSend } from "../hypervisor/event-channel.ts";
import { guestPages } from "../hypervisor/guest-access.ts";
import { consumeEvent, eventPending } from "../hypervisor/port.ts";
import { clientEmpties, clientRead, clientWrite } from "../xenstore/ring.ts";
import type { RingPage } from "../xenstore/ring.ts";
import { errorNamed, HEADER_SIZE, parse, readLatin1, readU32, XS } from "../xenstore/wire.ts";
import type { Packet } from "../xenstore/wire.ts";
import { fileAnswered, xenbusFileCell } from "./dev-file.ts";
import { kthreadRun } from "./kthread.ts";
import { printk } from "./printk.ts";
import { xenbusCell, xenbusQueueCell, xenbusRequestCell } from "./xenbus.ts";
import type { XenbusQueue, XenwatchPolicy } from "./xenbus.ts";
import { startXenwatch, xsWatchMsg } from "./xenwatch.ts";
import type { FirstCall } from "./xenwatch.ts";

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The page shared with xenstored, as the ring's functions see it. */
function ringPage(host: Host, domid: number, mfn: number): RingPage {
  const memory = guestPages(host, domid);
  return {
    read: (offset, length) => memory.read(mfn, offset, length),
    write: (offset, bytes) => memory.write(mfn, offset, bytes),
    stale: (offset, length) => memory.stale(mfn, offset, length),
  };
}

/**
 * One message from xenstored: a watch event to its mailbox, a reply to the
 * request that waits for it. What is neither is refused (process_msg).
 */
function processMsg(host: Host, domid: number, { type, reqId }: Packet, body: string): Failure | undefined {
  if (type === XS.WATCH_EVENT) {
    const [path = "", token = "", ...more] = body.split("\0");
    // Two strings, each with its NUL (count_strings).
    if (more.length !== 1 || more[0] !== "") return fail("EINVAL");
    xsWatchMsg(host, domid, token, path);
    return undefined;
  }
  const id = `${domid}/${reqId}`;
  if (host.get(xenbusRequestCell, id)?.state !== "wait_reply") return fail("ENOENT");
  const { file } = must(host, xenbusRequestCell, id);
  if (file === null) answer(host, domid, id, type, body);
  else handToFile(host, domid, id, { type, body });
  return undefined;
}

/** Hands a process's request its reply as it is. */
function handToFile(host: Host, domid: number, id: string, reply: { type: number; body: string }): void {
  const { name, asked } = present(must(host, xenbusRequestCell, id).file);
  forgetRequest(host, domid, host.edit(xenbusQueueCell, domid), id);
  fileAnswered(host, name, asked, reply);
}

/** A process's request is over. */
function forgetRequest(host: Host, domid: number, queue: XenbusQueue, id: string): void {
  host.drop(xenbusRequestCell, id);
  queue.requests = queue.requests.filter((other) => `${domid}/${other}` !== id);
  host.edit(xenbusCell, domid).users--;
}

/** The error of a name; EINVAL for one the kernel does not know (get_error). */
function errorOf(host: Host, domid: number, body: string): Errno {
  const [name = ""] = body.split("\0");
  const errno = errorNamed(body);
  if (errno !== name) printk(host, domid, `xenbus: xen store gave: unknown error ${name}`);
  return errno;
}

/** Hands a request its reply; one of another type than the request's is EINVAL to who asked (xs_talkv). */
function answer(host: Host, domid: number, id: string, type: number, body: string): void {
  const request = host.edit(xenbusRequestCell, id);
  const asked = readU32(request.message, 0);
  request.state = "got_reply";
  if (type === XS.ERROR) request.errno = errorOf(host, domid, body);
  else if (type === asked) request.reply = body;
  else {
    printk(host, domid, `xenbus: unexpected type [${type}], expected [${asked}]`);
    request.errno = "EINVAL";
  }
}

/**
 * Takes what xenstored sent; true where room was made in the ring. What makes no
 * sense is noted and left behind: as in Linux, the next bytes are the next message.
 */
function processMsgs(host: Host, domid: number, mfn: number): boolean {
  const page = ringPage(host, domid, mfn);
  const warn = ({ errno }: Failure): void =>
    printk(host, domid, `xenbus: error ${-errnoNumber(errno)} while reading message`);
  const received = clientRead(page);
  if (isFailure(received)) {
    clientEmpties(page, "replies");
    warn(received);
    return false;
  }
  if (received.length === 0) return false;
  const queue = host.edit(xenbusQueueCell, domid);
  const bytes = concat(queue.incoming, received);
  let at = 0;
  for (;;) {
    const packet = parse(bytes, at);
    if (packet.state === "need-more") break;
    if (packet.state === "failed") {
      warn(fail("EINVAL"));
      at += HEADER_SIZE;
      continue;
    }
    const refused = processMsg(host, domid, packet, readLatin1(bytes, packet.start, packet.end));
    if (refused !== undefined) warn(refused);
    at = packet.end;
  }
  queue.incoming = bytes.slice(at);
  return true;
}

/** Writes as much of the oldest request as there is room for; how many bytes. A ring that is broken fails it. */
function writeRequest(host: Host, domid: number, mfn: number, queue: XenbusQueue): number {
  const id = `${domid}/${queue.writes[0]}`;
  const { message } = must(host, xenbusRequestCell, id);
  const page = ringPage(host, domid, mfn);
  const wrote = clientWrite(page, message.subarray(queue.written));
  queue.written += isFailure(wrote) ? 0 : wrote;
  queue.full = !isFailure(wrote) && queue.written < message.length;
  if (queue.full) return isFailure(wrote) ? 0 : wrote;
  queue.writes.shift();
  queue.written = 0;
  const request = host.edit(xenbusRequestCell, id);
  if (!isFailure(wrote)) {
    request.state = "wait_reply";
    return wrote;
  }
  clientEmpties(page, "requests");
  printk(host, domid, `xenbus: error ${-errnoNumber(wrote.errno)} while writing message`);
  if (request.file !== null) {
    // Nobody tells the process.
    host.edit(xenbusFileCell, request.file.name).requests--;
    forgetRequest(host, domid, queue, id);
    return 0;
  }
  request.state = "got_reply";
  request.errno = wrote.errno;
  return 0;
}

/** Writes requests for as long as there is room; true where something was written. */
function processWrites(host: Host, domid: number, mfn: number): boolean {
  if (must(host, xenbusQueueCell, domid).writes.length === 0) return false;
  const queue = host.edit(xenbusQueueCell, domid);
  let wrote = false;
  do wrote = writeRequest(host, domid, mfn, queue) > 0 || wrote;
  while (queue.writes.length > 0 && !queue.full);
  return wrote;
}

/** `xb_thread_work`: something came from xenstored, or there is a request to write and room for it. */
function threadWork(host: Host, domid: number): boolean {
  const queue = host.get(xenbusQueueCell, domid);
  if (queue === undefined) return false;
  if (queue.writes.length > 0 && !queue.full) return true;
  return eventPending(host, domid, must(host, xenbusCell, domid).port);
}

const xenbusThread = routine(
  "xenbus_thread",
  (a: { domid: number }) => ({ ...a }),
  ({ forever, waitFor, step }) => [
    forever("while (!kthread_should_stop())", [
      waitFor("wait_event xb_waitq", (host, l) => threadWork(host, l.domid)),
      step("process_msg, process_writes", (host, { domid }) => {
        const { mfn, port } = must(host, xenbusCell, domid);
        if (consumeEvent(host, domid, port) && must(host, xenbusQueueCell, domid).full)
          host.edit(xenbusQueueCell, domid).full = false;
        const took = processMsgs(host, domid, mfn);
        const wrote = processWrites(host, domid, mfn);
        if (took || wrote) evtchnSend(host, domid, port);
      }),
    ]),
  ],
);

/** How a kernel's threads are started, where it is not an ordinary boot. */
export interface XsInitOptions {
  policy?: XenwatchPolicy;
  /** What xenwatch does before its first event. */
  first?: FirstCall;
}

/**
 * Connects a kernel to xenstore and starts its threads `xenbus` and `xenwatch`.
 *
 * @param mfn machine frame of the shared page
 * @param port the kernel's end of the event channel
 */
export function xsInit(
  host: Host,
  domid: number,
  mfn: number,
  port: number,
  options: XsInitOptions = {},
): void {
  host.add(xenbusCell, domid, {
    mfn,
    port,
    policy: options.policy ?? "single",
    suspended: false,
    users: 0,
    systemState: "running",
    modules: [],
  });
  host.add(xenbusQueueCell, domid, {
    requests: [],
    writes: [],
    written: 0,
    full: false,
    incoming: new Uint8Array(0),
  });
  startXenwatch(host, domid, options.first ?? null);
  kthreadRun(host, domid, "xenbus", xenbusThread, { domid });
}
