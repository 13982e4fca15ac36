// SPDX-License-Identifier: Apache-2.0
//
// The requests libxl makes of xenstore, each a routine that parks until its
// reply (tools/libs/light/libxl_xshelp.c). A transaction is its number; 0 for none.

import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import type { Routine } from "../engine/routine.ts";
import { freeWatchSlot, takeWatchSlot, xsTalk } from "../daemons/xs-client.ts";
import type { XsOp } from "../daemons/xs-client.ts";
import { libxlError } from "./log.ts";

/** What a request is about: who asks, in which transaction, which node. */
export interface OfPath {
  process: string;
  t?: number;
  path: string;
}

/** One request as data: what `xsScript` sends. */
export type XsRequest = { op: XsOp; payload: string };

const withNuls = (...parts: readonly string[]): string => parts.map((part) => `${part}\0`).join("");

/** A WRITE as data. */
export const writeRequest = (path: string, value: string): XsRequest => ({
  op: "WRITE",
  payload: `${path}\0${value}`,
});
/** An RM as data. */
export const rmRequest = (path: string): XsRequest => ({ op: "RM", payload: withNuls(path) });
/** A MKDIR as data. */
export const mkdirRequest = (path: string): XsRequest => ({ op: "MKDIR", payload: withNuls(path) });
/** A SET_PERMS as data; permissions as on the wire: `n0`, `r1`. */
export const permsRequest = (path: string, perms: readonly string[]): XsRequest => ({
  op: "SET_PERMS",
  payload: withNuls(path, ...perms),
});

/** An empty node with permissions, as libxl__xs_mknod makes it. */
export function mknodRequests(path: string, perms: readonly string[]): XsRequest[] {
  return [writeRequest(path, ""), permsRequest(path, perms)];
}

/** Entries under a directory, each with permissions where such are given (libxl__xs_writev_perms). */
export function writevRequests(
  dir: string,
  entries: readonly (readonly [string, string])[],
  perms: readonly string[] | null = null,
): XsRequest[] {
  return entries.flatMap(([name, value]) => {
    const path = `${dir}/${name}`;
    return perms === null
      ? [writeRequest(path, value)]
      : [writeRequest(path, value), permsRequest(path, perms)];
  });
}

/**
 * Requests one after another whose results nobody looks at: what went wrong in
 * a transaction shows when it ends, and outside of one libxl goes on as well.
 */
export const xsScript = routine(
  "xs requests",
  (a: { process: string; t?: number; requests: readonly XsRequest[] }) => ({
    process: a.process,
    t: a.t ?? 0,
    requests: a.requests,
    request: { op: "READ", payload: "" } as XsRequest,
  }),
  ({ each, attempt, call }) => [
    each(
      "request",
      (l) => l.requests,
      (l, request) => void (l.request = request),
      [
        attempt([
          call("request", xsTalk, (l) => ({ process: l.process, t: l.t, ...l.request })),
        ]).onError(() => {}, []),
      ],
    ),
  ],
);

/** A request whose failure is the caller's. `payload` makes it from the arguments. */
function request<A extends { process: string; t?: number }, R>(
  name: string,
  op: XsOp,
  payload: (a: A) => string,
  result: (reply: string) => R,
): Routine<A, R> {
  return routine(
    name,
    (a: A) => ({ process: a.process, t: a.t ?? 0, payload: payload(a), reply: "" }),
    ({ call }) => [
      call(
        "xs_single",
        xsTalk,
        (l) => ({ process: l.process, t: l.t, op, payload: l.payload }),
        (l, reply) => void (l.reply = reply),
      ),
    ],
    (l) => result(l.reply),
  );
}

/** A request whose every failure reads as null, as libxl__xs_read and its like have it. */
function query<R>(name: string, op: XsOp, result: (reply: string) => R): Routine<OfPath, R | null> {
  return routine(
    name,
    (a: OfPath) => ({
      process: a.process,
      t: a.t ?? 0,
      payload: withNuls(a.path),
      reply: null as string | null,
    }),
    ({ attempt, call }) => [
      attempt([
        call(
          "xs_single",
          xsTalk,
          (l) => ({ process: l.process, t: l.t, op, payload: l.payload }),
          (l, reply) => void (l.reply = reply),
        ),
      ]).onError(() => {}, []),
    ],
    (l) => (l.reply === null ? null : result(l.reply)),
  );
}

const names = (reply: string): string[] => reply.split("\0").filter((name) => name !== "");
const untilNul = (reply: string): string => reply.split("\0")[0] as string;
const nothing = (): void => {};

/** A node's value, or null where it cannot be read. */
export const xsRead = query("xs_read", "READ", (reply) => reply);

/** Says that a node is missing that libxl cannot do without (libxl__xs_read_mandatory). */
export function missingNode(host: Host, process: string, path: string): void {
  const text = `xenstore read failed: \`${path}': No such file or directory`;
  libxlError(host, process, "libxl_xshelp.c:206:libxl__xs_read_mandatory", text);
}

/** A directory's children in xenstored's order, or null where there is no such node. */
export const xsDirectory = query("xs_directory", "DIRECTORY", names);

/** Writes a node. */
export const xsWrite = request(
  "xs_write",
  "WRITE",
  (a: OfPath & { value: string }) => `${a.path}\0${a.value}`,
  nothing,
);
/** Removes a node and what is below it. ENOENT where its parent does not exist. */
export const xsRm = request("xs_rm", "RM", (a: OfPath) => withNuls(a.path), nothing);
/** A domain's home. */
export const xsGetDomainPath = request(
  "xs_get_domain_path",
  "GET_DOMAIN_PATH",
  (a: { process: string; domid: number }) => withNuls(String(a.domid)),
  untilNul,
);
/** Tells xenstored of a domain: the frame of its ring, its end of the event channel. */
export const xsIntroduceDomain = request(
  "xs_introduce_domain",
  "INTRODUCE",
  (a: { process: string; domid: number; mfn: number; port: number }) =>
    withNuls(...[a.domid, a.mfn, a.port].map(String)),
  nothing,
);
/** Tells xenstored that a domain goes on in the same domid after a suspend. */
export const xsResumeDomain = request(
  "xs_resume_domain",
  "RESUME",
  (a: { process: string; domid: number }) => withNuls(String(a.domid)),
  nothing,
);
/** Tells xenstored that a domain is no more, as far as it is concerned. */
export const xsReleaseDomain = request(
  "xs_release_domain",
  "RELEASE",
  (a: { process: string; domid: number }) => withNuls(String(a.domid)),
  nothing,
);
/** Starts a transaction; its number. */
export const xsTransactionStart = request(
  "xs_transaction_start",
  "TRANSACTION_START",
  (_a: { process: string }) => "\0",
  (reply) => Number.parseInt(reply, 10),
);

/** Gives a transaction up: what it did is undone, how that went is of no interest. */
export const xsTransactionAbort = routine(
  "xs_transaction_abort",
  (a: { process: string; t: number }) => ({ ...a }),
  ({ attempt, call }) => [
    attempt([
      call("xs_single", xsTalk, (l) => ({
        process: l.process,
        t: l.t,
        op: "TRANSACTION_END" as const,
        payload: "F\0",
      })),
    ]).onError(() => {}, []),
  ],
);

/**
 * Commits a transaction. False where somebody else wrote what it read or wrote:
 * it is gone and has to be done again.
 */
export const xsTransactionCommit = routine(
  "xs_transaction_end",
  (a: { process: string; t: number }) => ({ ...a, committed: true, errno: "EAGAIN" as Errno }),
  ({ attempt, call, when, failWith }) => [
    attempt([
      call("xs_single", xsTalk, (l) => ({
        process: l.process,
        t: l.t,
        op: "TRANSACTION_END" as const,
        payload: "T\0",
      })),
    ]).onError(
      (l, errno) => {
        l.committed = false;
        l.errno = errno;
      },
      [when("not for a conflict", (l) => l.errno !== "EAGAIN", [failWith("commit failed", (l) => l.errno)])],
    ),
  ],
  (l) => l.committed,
);

/** A registered watch, to wait on with `xsEventPending` and to take back with `xsUnwatch`. */
export type Watch = { path: string; slot: number; token: string };

/** Watches a path (libxl__ev_xswatch_register). */
export const xsWatch = routine(
  "libxl__ev_xswatch_register",
  (a: { process: string; path: string }) => ({ ...a, slot: -1, token: "" }),
  ({ step, call }) => [
    step("take slot", (host, l) => void Object.assign(l, takeWatchSlot(host, l.process)), { unseen: true }),
    call("xs_watch", xsTalk, (l) => ({
      process: l.process,
      t: 0,
      op: "WATCH" as const,
      payload: withNuls(l.path, l.token),
    })),
  ],
  (l): Watch => ({ path: l.path, slot: l.slot, token: l.token }),
);

/** Takes a watch back (libxl__ev_xswatch_deregister). */
export const xsUnwatch = routine(
  "libxl__ev_xswatch_deregister",
  (a: { process: string; watch: Watch }) => ({ ...a }),
  ({ step, call, attempt }) => [
    attempt([
      call("xs_unwatch", xsTalk, (l) => ({
        process: l.process,
        t: 0,
        op: "UNWATCH" as const,
        payload: withNuls(l.watch.path, l.watch.token),
      })),
    ]).onError(() => {}, []),
    step("free slot", (host, l) => freeWatchSlot(host, l.process, l.watch.slot, l.watch.token)),
  ],
);
