// SPDX-License-Identifier: Apache-2.0
//
// Registering a watch and taking it back (Linux xenbus_xs.c,
// register_xenbus_watch, unregister_xenbus_watch). The token names the watch; a
// real kernel sends the watch's address.

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import type { Errno } from "../engine/errno.ts";
import { XS } from "../xenstore/wire.ts";
import { addWatch, dropWatch, xenbusWatchCell } from "./xenbus.ts";
import { cancelEvents } from "./xenwatch.ts";
import { XBT_NIL, xenbusReadUnsigned, xsTalkv } from "./xs.ts";

const xsWatch = routine(
  "xs_watch",
  (a: { domid: number; node: string; token: string }) => ({ ...a }),
  ({ call }) => [
    call("xs_talkv", xsTalkv, (l) => ({
      domid: l.domid,
      type: XS.WATCH,
      tx: XBT_NIL,
      body: `${l.node}\0${l.token}\0`,
    })),
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
  /** What the callback acts for, handed to it; "" for the kernel itself. */
  owner?: string;
  onePending?: boolean;
}

/** Registers a watch: its callback is called once at first, and then for every event. Fails where xenstored refuses. */
export const registerXenbusWatch = routine(
  "register_xenbus_watch",
  (a: WatchArgs) => ({ ...a, owner: a.owner ?? "", onePending: a.onePending ?? false, errno: "" }),
  ({ step, call, attempt, failWith }) => [
    step("list_add", (host, { domid, node, token, callback, owner, onePending }) => {
      addWatch(host, domid, { node, token, callback, owner, onePending });
    }),
    attempt([call("xs_watch", xsWatch, ({ domid, node, token }) => ({ domid, node, token }))]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("list_del", (host, { domid, token }) => dropWatch(host, domid, token)),
        failWith("refused", (l) => l.errno as Errno),
      ],
    ),
  ],
);

/**
 * Takes a watch back: no callback is called for it any more. To be called from
 * the thread that runs its callbacks, so that none of them is under way.
 */
export const unregisterXenbusWatch = routine(
  "unregister_xenbus_watch",
  (a: { domid: number; token: string }) => ({ ...a, node: "" }),
  ({ step, call, attempt }) => [
    step("list_del", (host, l) => {
      l.node = must(host, xenbusWatchCell, `${l.domid}/${l.token}`).node;
      // Events filed later find no watch any more.
      cancelEvents(host, l.domid, l.token);
      dropWatch(host, l.domid, l.token);
    }),
    attempt([
      call("xs_unwatch", xsUnwatch, ({ domid, node, token }) => ({ domid, node, token })),
    ]).onError(() => {}, []),
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
  (a: { domid: number; token: string }) => ({ ...a, node: "" }),
  ({ step, call }) => [
    step("next watch", (host, l) => {
      l.node = host.get(xenbusWatchCell, `${l.domid}/${l.token}`)?.node ?? "";
    }),
    call("xs_watch", xsWatch, (l) => ({ domid: l.domid, node: l.node, token: l.token })),
  ],
);
