// SPDX-License-Identifier: Apache-2.0
//
// The xenstore commands that hotplug scripts run: each is a process with a
// connection of its own, for one read, one write or one list (xenstore_client.c).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { isOpen } from "../daemons/unix-socket.ts";
import { xsReadNode } from "../daemons/xs-node.ts";
import { xsClose, xsOpen, xsTalk } from "../daemons/xs-client.ts";

/** Whose command it is: the script's process. */
interface Command {
  process: string;
  path: string;
}

/** Opens the command's connection, under a name no earlier one still has: xenstored may not have seen that close. */
function open(host: Host, l: { process: string }): void {
  const command = l.process;
  for (let number = 1; isOpen(host, `${l.process}/xs`); number++) l.process = `${command}.${number}`;
  xsOpen(host, l.process);
}

/** `xenstore-read PATH`: the value, or null where there is none. */
export const xenstoreRead = routine(
  "xenstore-read",
  (a: Command) => ({ process: `${a.process}/xenstore-read`, path: a.path, value: null as string | null }),
  ({ step, call }) => [
    step("xs_open", open),
    call(
      "xs_read",
      xsReadNode,
      (l) => ({ process: l.process, path: l.path }),
      (l, value) => {
        l.value = value;
      },
    ),
    step("xs_close", (host, l) => xsClose(host, l.process)),
  ],
  (l) => l.value,
);

/** `xenstore-write PATH VALUE …`: all of them on one connection. */
export const xenstoreWrite = routine(
  "xenstore-write",
  (a: { process: string; entries: readonly (readonly [path: string, value: string])[] }) => ({
    process: `${a.process}/xenstore-write`,
    entries: a.entries,
    path: "",
    value: "",
    failed: false,
  }),
  ({ step, each, attempt, call }) => [
    step("xs_open", open),
    each(
      "entries",
      (l) => l.entries,
      (l, [path, value]) => {
        l.path = path;
        l.value = value;
      },
      [
        attempt([
          call("xs_write", xsTalk, (l) => ({
            process: l.process,
            t: 0,
            op: "WRITE" as const,
            payload: `${l.path}\0${l.value}`,
          })),
        ]).onError((l) => {
          l.failed = true;
        }, []),
      ],
    ),
    step("xs_close", (host, l) => xsClose(host, l.process)),
  ],
  (l) => !l.failed,
);

/** `xenstore-list PATH`: the children's names, in a transaction as the command has it. */
export const xenstoreList = routine(
  "xenstore-list",
  (a: Command) => ({ process: `${a.process}/xenstore-list`, path: a.path, t: 0, names: [] as string[] }),
  ({ step, attempt, call }) => [
    step("xs_open", open),
    attempt([
      call(
        "xs_transaction_start",
        xsTalk,
        (l) => ({ process: l.process, t: 0, op: "TRANSACTION_START" as const, payload: "\0" }),
        (l, reply) => {
          l.t = Number.parseInt(reply, 10);
        },
      ),
      call(
        "xs_directory",
        xsTalk,
        (l) => ({ process: l.process, t: l.t, op: "DIRECTORY" as const, payload: `${l.path}\0` }),
        (l, reply) => {
          l.names = reply.split("\0").filter((name) => name !== "");
        },
      ),
      call("xs_transaction_end", xsTalk, (l) => ({
        process: l.process,
        t: l.t,
        op: "TRANSACTION_END" as const,
        payload: "T\0",
      })),
    ]).onError(() => {}, [
      attempt([
        call("abort", xsTalk, (l) => ({
          process: l.process,
          t: l.t,
          op: "TRANSACTION_END" as const,
          payload: "F\0",
        })),
      ]).onError(() => {}, []),
    ]),
    step("xs_close", (host, l) => xsClose(host, l.process)),
  ],
  (l) => l.names,
);
