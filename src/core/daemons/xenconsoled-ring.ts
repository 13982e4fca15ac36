// SPDX-License-Identifier: Apache-2.0
//
// Looking for a domain's console in xenstore, mapping its ring, binding its
// event channel, making its terminal (io.c, console_create_ring, console_create_tty).

import { must } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { bindInterdomain, close, status } from "../hypervisor/event-channel-op.ts";
import { portId, setUpcall, upcallCell } from "../hypervisor/port.ts";
import { gntdevMapOne } from "../hypervisor/gntdev.ts";
import { GrantStatus } from "../hypervisor/grant-status.ts";
import { DOMID_SELF } from "../hypervisor/domid.ts";
import {
  consolePortCell,
  domainConsoleCell,
  ptyReady,
  takePty,
  XENCONSOLED,
  XENCONSOLED_CALLER,
  XENCONSOLED_EVENTS,
} from "./xenconsoled-cells.ts";
import type { DomainConsole } from "./xenconsoled-cells.ts";
import { xsTalk } from "./xs-client.ts";
import { xsReadNode } from "./xs-node.ts";

/** The grant every guest makes for its console page (GNTTAB_RESERVED_CONSOLE). */
const GRANT_CONSOLE = 0;

/** Where guests' output is logged (--log-dir). */
const LOG_DIR = "/var/log/xen/console";

function mapRing(host: Host, domid: number): void | Failure {
  const console = host.edit(domainConsoleCell, domid);
  if (console.handle >= 0) return;
  const mapped = gntdevMapOne(host, XENCONSOLED_CALLER, domid, GRANT_CONSOLE);
  if (mapped.status !== GrantStatus.okay) return fail("EINVAL");
  console.handle = mapped.handle;
  console.mfn = mapped.mfn;
}

/** Whether the console is bound to that port of the domain still. */
function stillBound(host: Host, domid: number, remotePort: number): boolean {
  const console = must(host, domainConsoleCell, domid);
  if (console.remotePort !== remotePort) return false;
  const found = status(host, XENCONSOLED_CALLER, { domid: DOMID_SELF, port: console.localPort });
  return !isFailure(found) && found.status === "interdomain";
}

/** Closes a console's event channel, where it has one. */
export function unbindPort(host: Host, console: DomainConsole): void {
  const { localPort: port } = console;
  console.localPort = -1;
  console.remotePort = -1;
  if (port < 0) return;
  host.drop(upcallCell, portId(0, port));
  host.drop(consolePortCell, port);
  close(host, XENCONSOLED_CALLER, { port });
}

function bindPort(host: Host, domid: number, remotePort: number): void | Failure {
  const console = host.edit(domainConsoleCell, domid);
  unbindPort(host, console);
  const bound = bindInterdomain(host, XENCONSOLED_CALLER, { remoteDomid: domid, remotePort });
  if (isFailure(bound)) return bound;
  console.localPort = bound.port;
  console.remotePort = remotePort;
  host.add(consolePortCell, bound.port, { domid });
  setUpcall(host, 0, bound.port, XENCONSOLED_EVENTS);
}

/** Makes the terminal and tells xenstore its name. */
const consoleCreateTty = routine(
  "console_create_tty",
  (a: { domid: number; xspath: string }) => ({ ...a, slave: "", limit: 0 }),
  ({ step, call, waitFor }) => [
    waitFor("posix_openpt", (host) => ptyReady(host)),
    step("openpty", (host, l) => {
      const pty = takePty(host, l.domid);
      host.edit(domainConsoleCell, l.domid).pty = pty;
      l.slave = `/dev/pts/${pty}`;
    }),
    call(
      "limit",
      xsReadNode,
      (l) => ({ process: XENCONSOLED, path: `${l.xspath}/limit` }),
      (l, value) => {
        l.limit = Number(value ?? 0);
      },
    ),
    step("max_capacity", (host, l) => {
      host.edit(domainConsoleCell, l.domid).maxCapacity = l.limit;
    }),
    call("xs_write", xsTalk, (l) => ({
      process: XENCONSOLED,
      t: 0,
      op: "WRITE" as const,
      payload: `${l.xspath}/tty\0${l.slave}`,
    })),
  ],
);

/** Opens the log file, which is named after the domain. */
const createConsoleLog = routine(
  "create_console_log",
  (a: { domid: number }) => ({ ...a, path: "", name: null as string | null }),
  ({ step, call }) => [
    call(
      "xs_get_domain_path",
      xsTalk,
      (l) => ({ process: XENCONSOLED, t: 0, op: "GET_DOMAIN_PATH" as const, payload: `${l.domid}\0` }),
      (l, reply) => {
        l.path = `${reply.split("\0")[0]}/name`;
      },
    ),
    call(
      "name",
      xsReadNode,
      (l) => ({ process: XENCONSOLED, path: l.path }),
      (l, name) => {
        l.name = name;
      },
    ),
    step("open", (host, l) => {
      if (l.name !== null && l.name !== "")
        host.edit(domainConsoleCell, l.domid).log = `${LOG_DIR}/guest-${l.name}.log`;
    }),
  ],
);

interface RingLocals {
  domid: number;
  xspath: string;
  ringRef: string | null;
  port: string | null;
  type: string | null;
  bound: boolean;
  hasTty: boolean;
  hasLog: boolean;
}

/** Sets a console up as far as xenstore knows it. Never fails: it is tried again with the next event. */
export const consoleCreateRing = routine(
  "console_create_ring",
  (a: { domid: number }): RingLocals => ({
    ...a,
    xspath: "",
    ringRef: null,
    port: null,
    type: null,
    bound: false,
    hasTty: false,
    hasLog: false,
  }),
  ({ step, call, when, attempt }) => [
    step("xspath", (host, l) => {
      l.xspath = must(host, domainConsoleCell, l.domid).xspath;
    }),
    call(
      "ring-ref",
      xsReadNode,
      (l) => ({ process: XENCONSOLED, path: `${l.xspath}/ring-ref` }),
      (l, value) => {
        l.ringRef = value;
      },
    ),
    when("has a ring", (l) => l.ringRef !== null, [
      call(
        "port",
        xsReadNode,
        (l) => ({ process: XENCONSOLED, path: `${l.xspath}/port` }),
        (l, value) => {
          l.port = value;
        },
      ),
      when("has a port", (l) => l.port !== null, [
        call(
          "type",
          xsReadNode,
          (l) => ({ process: XENCONSOLED, path: `${l.xspath}/type` }),
          (l, value) => {
            l.type = value;
          },
        ),
        when("is ours", (l) => l.type === null || l.type === "xenconsoled", [
          attempt([
            step("xengnttab_map_grant_ref", (host, l) => {
              l.bound = stillBound(host, l.domid, Number(l.port));
              return mapRing(host, l.domid);
            }),
            when("not bound", (l) => !l.bound, [
              step("xenevtchn_bind_interdomain", (host, l) => {
                const { pty, log } = must(host, domainConsoleCell, l.domid);
                l.hasTty = pty >= 0;
                l.hasLog = log !== null;
                return bindPort(host, l.domid, Number(l.port));
              }),
              when("no terminal", (l) => !l.hasTty, [
                call("console_create_tty", consoleCreateTty, (l) => ({ domid: l.domid, xspath: l.xspath })),
              ]),
              when("no log", (l) => !l.hasLog, [
                call("create_console_log", createConsoleLog, (l) => ({ domid: l.domid })),
              ]),
            ]),
          ]).onError(() => {}, []),
        ]),
      ]),
    ]),
  ],
);
