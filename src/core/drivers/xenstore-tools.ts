// SPDX-License-Identifier: Apache-2.0
//
// The xenstore commands that hotplug scripts run: each is a process with a
// connection of its own, for one read, one write or one list (xenstore_client.c).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { isOpen } from "../daemons/unix-socket.ts";
import { xsReadNode } from "../daemons/xs-node.ts";
import { xsClose, xsHandleCell, xsOpen, xsTalk } from "../daemons/xs-client.ts";

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

/** Closes the connection of the command a killed script was running. */
export function closeCommands(host: Host, script: string): void {
  for (const process of host.ids(xsHandleCell)) {
    if (String(process).startsWith(`${script}/xenstore-`)) xsClose(host, String(process));
  }
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

/** `xenstore-write PATH VALUE …`: several in one transaction, again after a conflict (xenstore_client.c). */
export const xenstoreWrite = routine(
  "xenstore-write",
  (a: { process: string; entries: readonly (readonly [path: string, value: string])[] }) => ({
    process: `${a.process}/xenstore-write`,
    entries: a.entries,
    path: "",
    value: "",
    t: 0,
    failed: false,
    conflict: false,
  }),
  ({ step, each, when, repeatUntil, attempt, call }) => [
    step("xs_open", open),
    repeatUntil("without conflict", (l) => !l.conflict, [
      when("several", (l) => l.entries.length > 1, [
        attempt([
          call(
            "xs_transaction_start",
            xsTalk,
            (l) => ({ process: l.process, t: 0, op: "TRANSACTION_START" as const, payload: "\0" }),
            (l, reply) => {
              l.t = Number.parseInt(reply, 10);
            },
          ),
        ]).onError((l) => {
          l.failed = true;
        }, []),
      ]),
      each(
        "entries",
        (l) => (l.failed ? [] : l.entries),
        (l, [path, value]) => {
          l.path = path;
          l.value = value;
        },
        [
          attempt([
            call("xs_write", xsTalk, (l) => ({
              process: l.process,
              t: l.t,
              op: "WRITE" as const,
              payload: `${l.path}\0${l.value}`,
            })),
          ]).onError((l) => {
            l.failed = true;
          }, []),
        ],
      ),
      step("no conflict yet", (_host, l) => void (l.conflict = false)),
      when("a transaction is open", (l) => l.t !== 0, [
        attempt([
          call("xs_transaction_end", xsTalk, (l) => ({
            process: l.process,
            t: l.t,
            op: "TRANSACTION_END" as const,
            payload: l.failed ? "F\0" : "T\0",
          })),
        ]).onError((l, errno) => {
          l.conflict = errno === "EAGAIN";
          l.failed ||= !l.conflict;
        }, []),
      ]),
    ]),
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
