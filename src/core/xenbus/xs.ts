// SPDX-License-Identifier: Apache-2.0
//
// xenstore as a kernel uses it: every operation is a message on the ring, and
// the caller is parked until the reply (Linux drivers/xen/xenbus/xenbus_xs.c).

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { encode, XS } from "../xenstore/wire.ts";
import type { Header } from "./dev-file.ts";
import { parseState, XenbusState } from "./state.ts";
import { xenbusCell, xenbusQueueCell, xenbusRequestCell, xenbusRunning } from "./xenbus.ts";
import type { XenbusRequest } from "./xenbus.ts";

/** The transaction id of a request outside any transaction. */
export const XBT_NIL = 0;

/** A request as it is put together. */
interface NewRequest {
  readonly type: number;
  readonly tx: number;
  readonly body: string;
  readonly file?: XenbusRequest["file"];
}

/** Adds a request to what the ring's thread has to write. Returns its id: the lowest that is free. */
function queueRequest(host: Host, domid: number, { type, tx, body, file }: NewRequest): number {
  let id = 1;
  while (host.get(xenbusRequestCell, `${domid}/${id}`) !== undefined) id++;
  host.add(xenbusRequestCell, `${domid}/${id}`, {
    message: encode(type, id, tx, body),
    state: "queued",
    reply: "",
    errno: null,
    file: file ?? null,
  });
  const queue = host.edit(xenbusQueueCell, domid);
  queue.writes.push(id);
  queue.requests.push(id);
  return id;
}

function xsSend(host: Host, domid: number, type: number, tx: number, body: string): number {
  if (tx === XBT_NIL) host.edit(xenbusCell, domid).users++;
  return queueRequest(host, domid, { type, tx, body });
}

/** Sends a process's request, whose answer goes to its file (xenbus_dev_request_and_reply). */
export function xsSendForFile(host: Host, domid: number, asked: Header, body: string, name: string): void {
  host.edit(xenbusCell, domid).users++;
  queueRequest(host, domid, { type: asked.type, tx: asked.txId, body, file: { name, asked } });
}

interface Talk {
  domid: number;
  /** XS.* */
  type: number;
  tx: number;
  body: string;
  request: number;
  reply: string;
}

/** A transaction keeps the connection in use from its start to its end: suspending waits for it. */
function stillUser({ type, tx }: Talk, failed: boolean): number {
  if (type === XS.TRANSACTION_START) return failed ? -1 : 0;
  if (type === XS.TRANSACTION_END) return -1;
  return tx === XBT_NIL ? -1 : 0;
}

function takeReply(host: Host, l: Talk): void | ReturnType<typeof fail> {
  const id = `${l.domid}/${l.request}`;
  const { reply, errno } = must(host, xenbusRequestCell, id);
  host.drop(xenbusRequestCell, id);
  const queue = host.edit(xenbusQueueCell, l.domid);
  queue.requests = queue.requests.filter((other) => other !== l.request);
  const change = stillUser(l, errno !== null);
  if (change !== 0) host.edit(xenbusCell, l.domid).users += change;
  if (errno !== null) return fail(errno);
  l.reply = reply;
}

/** Sends one request and waits for its reply, of which it gives the payload. Fails with xenstored's error. */
export const xsTalkv = routine(
  "xs_talkv",
  (a: { domid: number; type: number; tx: number; body: string }): Talk => ({
    ...a,
    request: 0,
    reply: "",
  }),
  ({ step, waitFor }) => [
    waitFor("xs_request_enter", (host, l) => l.tx !== XBT_NIL || xenbusRunning(host, l.domid)),
    step("xs_send", (host, l) => {
      l.request = xsSend(host, l.domid, l.type, l.tx, l.body);
    }),
    waitFor(
      "xs_wait_for_reply",
      (host, l) => host.get(xenbusRequestCell, `${l.domid}/${l.request}`)?.state === "got_reply",
      { unseen: true, uninterruptible: true },
    ),
    step("xs_request_exit", takeReply),
  ],
  (l) => l.reply,
);

/** A directory and a name below it as one path; an empty name means the directory itself. */
export function join(dir: string, name: string): string {
  return name === "" ? dir : `${dir}/${name}`;
}

/** What most operations are given: whose kernel, in which transaction, which node. */
export interface NodeArgs {
  domid: number;
  tx?: number;
  dir: string;
  name: string;
}

const nodeLocals = (a: NodeArgs): { domid: number; tx: number; path: string } => ({
  domid: a.domid,
  tx: a.tx ?? XBT_NIL,
  path: join(a.dir, a.name),
});

/** A node's value. Fails with ENOENT, EACCES, … */
export const xenbusRead = routine(
  "xenbus_read",
  (a: NodeArgs) => ({ ...nodeLocals(a), value: "" }),
  ({ call }) => [
    call(
      "xs_single",
      xsTalkv,
      (l) => ({ domid: l.domid, type: XS.READ, tx: l.tx, body: `${l.path}\0` }),
      (l, reply) => {
        l.value = reply;
      },
    ),
  ],
  (l) => l.value,
);

/** A node's value, or null where it cannot be read: for what is optional. */
export const xenbusReadOptional = routine(
  "xenbus_scanf",
  (a: NodeArgs) => ({ ...a, value: null as string | null }),
  ({ call, attempt }) => [
    attempt([
      call(
        "xenbus_read",
        xenbusRead,
        (l): NodeArgs => l,
        (l, value) => {
          l.value = value;
        },
      ),
    ]).onError(() => {}, []),
  ],
  (l) => l.value,
);

/** An unsigned number from a node, or the given one where there is none. */
export const xenbusReadUnsigned = routine(
  "xenbus_read_unsigned",
  (a: NodeArgs & { otherwise: number }) => ({ ...a, value: a.otherwise }),
  ({ call }) => [
    call(
      "xenbus_scanf",
      xenbusReadOptional,
      (l): NodeArgs => l,
      (l, text) => {
        if (text !== null && /^\s*\d+/.test(text)) l.value = Number.parseInt(text, 10);
      },
    ),
  ],
  (l) => l.value,
);

/** The state a device's directory shows; Unknown where it cannot be read. */
export const xenbusReadDriverState = routine(
  "xenbus_read_driver_state",
  (a: { domid: number; path: string }) => ({ ...a, state: XenbusState.Unknown as number }),
  ({ call }) => [
    call(
      "xenbus_gather",
      xenbusReadOptional,
      (l) => ({ domid: l.domid, dir: l.path, name: "state" }),
      (l, value) => {
        if (value !== null) l.state = parseState(value);
      },
    ),
  ],
  (l) => l.state,
);

/** Sets a node's value. */
export const xenbusPrintf = routine(
  "xenbus_printf",
  (a: NodeArgs & { value: string }) => ({ ...nodeLocals(a), value: a.value }),
  ({ call }) => [
    call("xs_talkv", xsTalkv, (l) => ({
      domid: l.domid,
      type: XS.WRITE,
      tx: l.tx,
      body: `${l.path}\0${l.value}`,
    })),
  ],
);

/** Removes a node and what is below it. */
export const xenbusRm = routine(
  "xenbus_rm",
  (a: NodeArgs) => nodeLocals(a),
  ({ call }) => [
    call("xs_single", xsTalkv, (l) => ({ domid: l.domid, type: XS.RM, tx: l.tx, body: `${l.path}\0` })),
  ],
);

/** Names of a node's children, in xenstored's order. */
export const xenbusDirectory = routine(
  "xenbus_directory",
  (a: NodeArgs) => ({ ...nodeLocals(a), names: [] as string[] }),
  ({ call }) => [
    call(
      "xs_single",
      xsTalkv,
      (l) => ({ domid: l.domid, type: XS.DIRECTORY, tx: l.tx, body: `${l.path}\0` }),
      (l, reply) => {
        l.names = reply.split("\0").slice(0, -1);
      },
    ),
  ],
  (l) => l.names,
);

/** Whether a node exists and may be listed. */
export const xenbusExists = routine(
  "xenbus_exists",
  (a: NodeArgs) => ({ ...a, exists: false }),
  ({ call, attempt }) => [
    attempt([
      call(
        "xenbus_directory",
        xenbusDirectory,
        (l): NodeArgs => l,
        (l) => {
          l.exists = true;
        },
      ),
    ]).onError(() => {}, []),
  ],
  (l) => l.exists,
);

/** Starts a transaction and gives its id. */
export const xenbusTransactionStart = routine(
  "xenbus_transaction_start",
  (a: { domid: number }) => ({ ...a, tx: XBT_NIL }),
  ({ call }) => [
    call(
      "xs_single",
      xsTalkv,
      (l) => ({ domid: l.domid, type: XS.TRANSACTION_START, tx: XBT_NIL, body: "\0" }),
      (l, reply) => {
        // simple_strtoul
        l.tx = Number.parseInt(reply, 10) || 0;
      },
    ),
  ],
  (l) => l.tx,
);

/** Ends a transaction; gives whether it must be tried again because it met a conflict. */
export const xenbusTransactionEnd = routine(
  "xenbus_transaction_end",
  (a: { domid: number; tx: number; abort: boolean }) => ({ ...a, again: false, errno: "" }),
  ({ call, attempt, when, failWith }) => [
    attempt([
      call("xs_single", xsTalkv, (l) => ({
        domid: l.domid,
        type: XS.TRANSACTION_END,
        tx: l.tx,
        body: l.abort ? "F\0" : "T\0",
      })),
    ]).onError(
      (l, errno) => {
        l.again = errno === "EAGAIN";
        l.errno = errno;
      },
      [when("not a conflict", (l) => !l.again, [failWith("error", (l) => l.errno as "EINVAL")])],
    ),
  ],
  (l) => l.again,
);
