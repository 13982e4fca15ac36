// SPDX-License-Identifier: Apache-2.0
//
// Registering a watch and taking it back (Linux xenbus_xs.c,
// register_xenbus_watch, unregister_xenbus_watch). The token names the watch; a
// real kernel sends the watch's address.

import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { errnoNumber } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { XS } from "../xenstore/wire.ts";
import { xenbusDeviceCell } from "./device.ts";
import { printk } from "./printk.ts";
import { addWatch, dropWatch, unlistWatch, xenbusWatchCell } from "./xenbus.ts";
import { cancelEvents, inCallback, mailboxesOf } from "./xenwatch.ts";
import { XBT_NIL, xenbusReadUnsigned, xsTalkv } from "./xs.ts";

const xsWatch = routine(
  "xs_watch",
  (a: { domid: number; node: string; token: string; depth: number | null }) => ({
    ...a,
    whole: a.depth === null,
    errno: "",
  }),
  ({ call, when, attempt, failWith }) => [
    when("some levels only", (l) => !l.whole, [
      attempt([
        call("xs_talkv, depth", xsTalkv, (l) => ({
          domid: l.domid,
          type: XS.WATCH,
          tx: XBT_NIL,
          body: `${l.node}\0${l.token}\0${l.depth}\0`,
        })),
      ]).onError(
        (l, errno) => {
          l.errno = errno;
          // A xenstored that knows no depth: the kernel leaves out what it does not want.
          l.whole = errno === "EINVAL";
        },
        [when("refused", (l) => !l.whole, [failWith("errno", (l) => l.errno as Errno)])],
      ),
    ]),
    when("all levels", (l) => l.whole, [
      call("xs_talkv", xsTalkv, (l) => ({
        domid: l.domid,
        type: XS.WATCH,
        tx: XBT_NIL,
        body: `${l.node}\0${l.token}\0`,
      })),
    ]),
  ],
);

const xsUnwatch = routine(
  "xs_unwatch",
  (a: { domid: number; node: string; token: string }) => ({ ...a }),
  ({ call }) => [
    call("xs_talkv", xsTalkv, (l) => ({
      domid: l.domid,
      type: XS.UNWATCH,
      tx: XBT_NIL,
      body: `${l.node}\0${l.token}\0`,
    })),
  ],
);

/** What a watch is registered with. */
export interface WatchArgs {
  domid: number;
  node: string;
  /** Unique among the kernel's watches. */
  token: string;
  /** Name of the routine to call for each event. */
  callback: string;
  /** What the callback acts for, handed to it; "" for the kernel. A backend's events are its frontend's domain's. */
  owner?: string;
  /** Whose events they are, where the owner does not tell: see `XenbusWatch`. */
  getDomid?: "path";
  /** Levels below the node of which events are wanted; all where nothing is said. */
  depth?: number | null;
  onePending?: boolean;
}

/** The domain whose events a watch's are, by its owner: that of a backend's frontend. */
function domidOfOwner(host: Host, owner: string): number {
  const device = host.get(xenbusDeviceCell, owner);
  return device?.bus === "backend" ? device.otherendId : 0;
}

/** Registers a watch: its callback is called once at first, and then for every event. Fails where xenstored refuses. */
export const registerXenbusWatch = routine(
  "register_xenbus_watch",
  (a: WatchArgs) => ({
    ...a,
    owner: a.owner ?? "",
    getDomid: a.getDomid ?? null,
    depth: a.depth ?? null,
    onePending: a.onePending ?? false,
    errno: "",
  }),
  ({ step, call, attempt, failWith }) => [
    step("list_add", (host, { domid, getDomid, errno: _errno, ...watch }) => {
      addWatch(host, domid, { ...watch, getDomid: getDomid ?? domidOfOwner(host, watch.owner) });
    }),
    attempt([
      call("xs_watch", xsWatch, ({ domid, node, token, depth }) => ({ domid, node, token, depth })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("list_del", (host, { domid, token }) => dropWatch(host, domid, token)),
        failWith("refused", (l) => l.errno as Errno),
      ],
    ),
  ],
);

/**
 * Takes a watch back: when it returns, no callback is called for it any more. It
 * waits for a callback that is under way in a thread that may run this watch's,
 * unless that is the thread it is called from.
 */
export const unregisterXenbusWatch = routine(
  "unregister_xenbus_watch",
  (a: { domid: number; token: string }) => ({ ...a, node: "", threads: [] as string[], failed: "" }),
  ({ step, call, attempt, waitFor }) => [
    step("list_del", (host, l) => {
      const watch = must(host, xenbusWatchCell, `${l.domid}/${l.token}`);
      l.node = watch.node;
      l.threads = mailboxesOf(host, l.domid, watch).filter((thread) => thread !== host.current);
      // Events that come from now on find no watch any more.
      unlistWatch(host, l.domid, l.token);
    }),
    attempt([call("xs_unwatch", xsUnwatch, ({ domid, node, token }) => ({ domid, node, token }))]).onError(
      (l, errno) => void (l.failed = errno),
      [
        step("pr_warn", (host, { domid, node, failed }) =>
          printk(host, domid, `xenbus: Failed to release watch ${node}: ${-errnoNumber(failed as Errno)}`),
        ),
      ],
    ),
    waitFor("mutex_lock xenwatch_mutex", (host, l) => !l.threads.some((thread) => inCallback(host, thread)), {
      uninterruptible: true,
    }),
    step("cancel pending events", (host, l) => {
      cancelEvents(host, l.domid, l.token);
      dropWatch(host, l.domid, l.token);
    }),
  ],
);

/** Takes back whatever an earlier kernel of the same HVM domain has left, where xenstored can do that. */
export const xsResetWatches = routine(
  "xs_reset_watches",
  (a: { domid: number }) => ({ ...a, supported: 0 }),
  ({ call, when, attempt }) => [
    call(
      "platform-feature-xs_reset_watches",
      xenbusReadUnsigned,
      (l) => ({ domid: l.domid, dir: "control", name: "platform-feature-xs_reset_watches", otherwise: 0 }),
      (l, value) => void (l.supported = value),
    ),
    when("supported", (l) => l.supported !== 0, [
      attempt([
        call("RESET_WATCHES", xsTalkv, (l) => ({
          domid: l.domid,
          type: XS.RESET_WATCHES,
          tx: XBT_NIL,
          body: "\0",
        })),
      ]).onError(() => {}, []),
    ]),
  ],
);

/** Sets a registered watch with xenstored once more: what `xs_resume` does for each. */
export const xsRewatch = routine(
  "xs_rewatch",
  (a: { domid: number; token: string }) => ({ ...a, node: "", depth: null as number | null }),
  ({ step, call, when, attempt }) => [
    step("next watch", (host, l) => {
      const watch = host.get(xenbusWatchCell, `${l.domid}/${l.token}`);
      l.node = watch?.node ?? "";
      l.depth = watch?.depth ?? null;
    }),
    when("registered still", (l) => l.node !== "", [
      // Nobody looks at what becomes of it.
      attempt([
        call("xs_watch", xsWatch, ({ domid, node, token, depth }) => ({ domid, node, token, depth })),
      ]).onError(() => {}, []),
    ]),
  ],
);
