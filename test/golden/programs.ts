// SPDX-License-Identifier: Apache-2.0
//
// The small programs that the recordings' driver ran in dom0, beside xl:
// a watcher, and one that makes bare domains.

import { constants } from "node:os";
import { exitProcess, stdout } from "../../src/core/daemons/process.ts";
import { xsClose, xsHasEvent, xsOpen, xsReadWatch, xsTalk } from "../../src/core/daemons/xs-client.ts";
import { isFailure, type Errno } from "../../src/core/engine/errno.ts";
import { routine } from "../../src/core/engine/routine.ts";
import { createdomain, destroydomain } from "../../src/core/hypervisor/domctl.ts";
import type { Host } from "../../src/core/engine/host.ts";

/** A node as plain data: path, value, permissions. */
export type NodeData = readonly [path: string, value: string, permissions: readonly string[]];

/** Puts nodes into the store, as a privileged client. */
export const putNodes = routine(
  "putnodes",
  (a: { process: string; nodes: readonly NodeData[] }) => ({ ...a, node: ["", "", []] as NodeData }),
  ({ step, call, each }) => [
    step("open", (host, l) => xsOpen(host, l.process)),
    each(
      "nodes",
      (l) => l.nodes,
      (l, node) => void (l.node = node),
      [
        call("xs_write", xsTalk, ({ process, node: [path, value] }) => ({
          process,
          t: 0,
          op: "WRITE" as const,
          payload: `${path}\0${value}`,
        })),
        call("xs_set_permissions", xsTalk, ({ process, node: [path, , permissions] }) => ({
          process,
          t: 0,
          op: "SET_PERMS" as const,
          payload: [path, ...permissions, ""].join("\0"),
        })),
      ],
    ),
    step("close", (host, l) => {
      xsClose(host, l.process);
      exitProcess(host, l.process, 0);
    }),
  ],
);

interface Walk {
  process: string;
  /** Nodes not yet looked at, the next one last; null until the root's children are known. */
  pending: string[];
  path: string;
  value: string;
  permissions: string;
}

/** One request about the node under way. */
function ask(
  op: "READ" | "GET_PERMS" | "DIRECTORY",
): (l: Walk) => { process: string; t: number; op: typeof op; payload: string } {
  return ({ process, path }) => ({ process, t: 0, op, payload: `${path}\0` });
}

/** Prints every node with its value and permissions (xenstore-ls -fp). */
export const xenstoreLs = routine(
  "xenstore-ls",
  (a: { process: string }): Walk => ({ ...a, pending: [], path: "/", value: "", permissions: "" }),
  ({ step, call, repeatUntil }) => [
    step("xs_open", (host, l) => xsOpen(host, l.process)),
    call("xs_directory of the root", xsTalk, ask("DIRECTORY"), pushChildren),
    repeatUntil("nodes", (l) => l.pending.length === 0, [
      step("next node", (_host, l) => void (l.path = l.pending.pop() as string)),
      call("xs_read", xsTalk, ask("READ"), (l, value) => void (l.value = value)),
      call(
        "xs_get_permissions",
        xsTalk,
        ask("GET_PERMS"),
        (l, reply) => void (l.permissions = entriesOf(reply).join(",")),
      ),
      step("printf", (host, l) =>
        stdout(host, l.process, `${l.path} = "${sanitised(l.value)}"   (${l.permissions})\n`),
      ),
      call("xs_directory", xsTalk, ask("DIRECTORY"), pushChildren),
    ]),
    step("xs_close", (host, l) => {
      xsClose(host, l.process);
      exitProcess(host, l.process, 0);
    }),
  ],
);

function pushChildren(l: Walk, reply: string): void {
  const directory = l.path === "/" ? "" : l.path;
  l.pending.push(
    ...entriesOf(reply)
      .map((name) => `${directory}/${name}`)
      .toReversed(),
  );
}

function entriesOf(reply: string): string[] {
  return reply.split("\0").filter((entry) => entry !== "");
}

/** Bytes that cannot be printed, and backslashes, escaped (sanitise_value in xs_lib.c). */
function sanitised(value: string): string {
  const SHORT: { readonly [char: string]: string } = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" };
  return value.replace(
    /[^ -[\]-~]/g,
    (char) => SHORT[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Registers watches w1, w2, … and prints every event (xswatch.c). */
export const xswatch = routine(
  "xswatch",
  (a: { process: string; paths: readonly string[] }) => ({ ...a, path: "", count: 0 }),
  ({ step, call, each, forever, waitFor }) => [
    step("xs_open", (host, l) => xsOpen(host, l.process)),
    each(
      "paths",
      (l) => l.paths,
      (l, path) => {
        l.path = path;
        l.count++;
      },
      [
        call("xs_watch", xsTalk, (l) => ({
          process: l.process,
          t: 0,
          op: "WATCH" as const,
          payload: `${l.path}\0w${l.count}\0`,
        })),
        step("say so", (host, l) => stdout(host, l.process, `REGISTER ${l.path} w${l.count}\n`)),
      ],
    ),
    forever("events", [
      waitFor("poll", (host, l) => xsHasEvent(host, l.process)),
      step("xs_read_watch", (host, l) => {
        const event = xsReadWatch(host, l.process);
        if (isFailure(event)) return event;
        stdout(host, l.process, `EVENT ${event.path} token=${event.token}\n`);
        return undefined;
      }),
    ]),
  ],
);

interface Mkdom {
  process: string;
  /** `auto N`: N domains of domids that Xen chooses; `try DOMID`, `keep DOMID`: that one. */
  mode: "auto" | "try" | "keep";
  number: number;
  domid: number;
  done: number;
}

/** Creates domains and nothing else of them; destroys them again, but for `keep` (mkdom.c). */
export const mkdom = routine(
  "mkdom",
  (a: { process: string; mode: string; number: number }): Mkdom => ({
    ...a,
    mode: a.mode as Mkdom["mode"],
    domid: -1,
    done: 0,
  }),
  ({ step, call, when, repeatUntil, attempt }) => [
    repeatUntil("domains", (l) => l.done >= (l.mode === "auto" ? l.number : 1), [
      step("xc_domain_create", (host, l) => {
        l.done++;
        l.domid = create(host, l);
      }),
      when("made to be destroyed", (l) => l.domid >= 0 && l.mode !== "keep", [
        attempt([
          call("xc_domain_destroy", destroydomain, (l) => ({ caller: callerOf(l.process), domid: l.domid })),
        ]).onError(() => {}, []),
        step("report", (host, l) => {
          if (l.mode === "try")
            stdout(host, l.process, `       0.000 destroydomain(${l.domid}) rc=0 errno=0\n`);
        }),
      ]),
    ]),
    step("exit", (host, l) => exitProcess(host, l.process, 0)),
  ],
);

function callerOf(process: string): { domid: number; process: string } {
  return { domid: 0, process };
}

/** Creates one domain and reports it; returns its domid, or -1. */
function create(host: Host, { process, mode, number }: Mkdom): number {
  const asked = mode === "auto" ? 0 : number;
  const made = createdomain(host, callerOf(process), {
    domid: asked,
    maxGrantFrames: 4,
    maxMaptrackFrames: 0,
  });
  const domid = isFailure(made) ? -1 : made.domid;
  if (mode === "auto")
    stdout(
      host,
      process,
      `       0.000 auto rc=${isFailure(made) ? -1 : 0} domid=${isFailure(made) ? asked : domid}\n`,
    );
  else if (isFailure(made)) {
    const { errno } = made;
    const words = `createdomain(domid=${number}) rc=-1 errno=${strerror(errno)} domid_out=${number}`;
    stdout(host, process, `       0.000 ${words}\nerrno=${constants.errno[errno as "EEXIST"]}\n`);
  } else stdout(host, process, `       0.000 createdomain(domid=${number}) rc=0  domid_out=${domid}\n`);
  return domid;
}

function strerror(errno: Errno): string {
  return errno === "EEXIST" ? "File exists" : errno;
}
