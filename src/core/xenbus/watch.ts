// SPDX-License-Identifier: Apache-2.0
//
// Registering a watch and taking it back (Linux xenbus_xs.c,
// register_xenbus_watch, unregister_xenbus_watch). The token names the watch; a
// real kernel sends the watch's address.

import { must } from "../engine/cells.ts";
import { routine } from "../engine/routine.ts";
import type { Errno } from "../engine/errno.ts";
import { XS } from "../xenstore/wire.ts";
import { xenbusCell, xenbusWatchCell } from "./xenbus.ts";
import { cancelEvents } from "./xenwatch.ts";
import { XBT_NIL, xsTalkv } from "./xs.ts";

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
    step("list_add", (host, l) => {
      const { node, token, callback, owner, onePending } = l;
      host.add(xenbusWatchCell, `${l.domid}/${token}`, {
        node,
        token,
        callback,
        owner,
        pending: 0,
        onePending,
      });
      host.edit(xenbusCell, l.domid).watches.unshift(token);
    }),
    attempt([call("xs_watch", xsWatch, (l) => ({ domid: l.domid, node: l.node, token: l.token }))]).onError(
      (l, errno) => {
        l.errno = errno;
      },
      [
        step("list_del", (host, l) => {
          const xenbus = host.edit(xenbusCell, l.domid);
          xenbus.watches = xenbus.watches.filter((token) => token !== l.token);
          host.drop(xenbusWatchCell, `${l.domid}/${l.token}`);
        }),
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
      const xenbus = host.edit(xenbusCell, l.domid);
      xenbus.watches = xenbus.watches.filter((token) => token !== l.token);
      l.node = must(host, xenbusWatchCell, `${l.domid}/${l.token}`).node;
      // Events filed later find no watch any more.
      cancelEvents(host, l.domid, l.token);
      host.drop(xenbusWatchCell, `${l.domid}/${l.token}`);
    }),
    attempt([
      call("xs_unwatch", xsUnwatch, (l) => ({ domid: l.domid, node: l.node, token: l.token })),
    ]).onError(() => {}, []),
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
