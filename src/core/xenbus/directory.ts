// SPDX-License-Identifier: Apache-2.0
//
// A node's children however many there are: in one reply where they fit, else in
// parts (XS_DIRECTORY_PART, Xen d4016288ab; tools/libs/store/xs.c, xs_directory).

import { present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import type { Errno } from "../engine/errno.ts";
import { XS } from "../xenstore/wire.ts";
import { XBT_NIL, xenbusDirectory, xsTalkv } from "./xs.ts";

interface PartLocals {
  domid: number;
  path: string;
  offset: number;
  generation: string;
  text: string;
  done: boolean;
}

/** Takes a part in; a list that changed in between is read from its beginning. */
function takePart(l: PartLocals, reply: string): void {
  const end = reply.indexOf("\0");
  const generation = reply.slice(0, end);
  const part = reply.slice(end + 1);
  if (l.offset > 0 && generation !== l.generation) {
    Object.assign(l, { offset: 0, text: "" });
    return;
  }
  // The empty name behind the last one ends the list.
  l.done = part.endsWith("\0\0") || part === "\0";
  l.generation = generation;
  l.text += l.done ? part.slice(0, -1) : part;
  l.offset = l.text.length;
}

const directoryParts = routine(
  "xs_directory_part",
  (a: { domid: number; path: string }): PartLocals => ({
    ...a,
    offset: 0,
    generation: "",
    text: "",
    done: false,
  }),
  ({ repeatUntil, call }) => [
    repeatUntil("end of list", (l) => l.done, [
      call(
        "xs_talkv",
        xsTalkv,
        (l) => ({
          domid: l.domid,
          type: XS.DIRECTORY_PART,
          tx: XBT_NIL,
          body: `${l.path}\0${l.offset}\0`,
        }),
        takePart,
      ),
    ]),
  ],
  (l) => l.text.split("\0").slice(0, -1),
);

/** Names of all of a node's children, in xenstored's order. Fails with xenstored's error. */
export const xenbusWholeDirectory = routine(
  "xenbus_directory, whole",
  (a: { domid: number; path: string }) => ({ ...a, names: [] as string[], errno: null as Errno | null }),
  ({ attempt, call, when, failWith }) => [
    attempt([
      call(
        "xenbus_directory",
        xenbusDirectory,
        (l) => ({ domid: l.domid, dir: l.path, name: "" }),
        (l, names) => void (l.names = names),
      ),
    ]).onError((l, errno) => void (l.errno = errno), []),
    when("too long for one reply", (l) => l.errno === "E2BIG", [
      call(
        "xs_directory_part",
        directoryParts,
        (l) => ({ domid: l.domid, path: l.path }),
        (l, names) => {
          l.names = names;
          l.errno = null;
        },
      ),
    ]),
    when("cannot be listed", (l) => l.errno !== null, [failWith("errno", (l) => present(l.errno))]),
  ],
  (l) => l.names,
);
