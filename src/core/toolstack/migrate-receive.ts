// SPDX-License-Identifier: Apache-2.0
//
// The receiving end of a migration: restores the domain under another name,
// paused, and lets it go when the sender says so (tools/xl/xl_migrate.c,
// migrate_receive).

import { must } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { exitProcess, stderr } from "../daemons/process.ts";
import { domainDestroy } from "./domain-destroy.ts";
import { closeContext, openContext } from "./libxl-ctx.ts";
import { migrationLinkCell, receiverEnds } from "./migration-link.ts";
import type { MigrationLink } from "./migration-link.ts";
import { domainUnpause } from "./pause.ts";
import { rcOf } from "./rc.ts";
import { domainRename } from "./rename.ts";
import { sameDomain } from "./same.ts";
import { createDomain } from "./xl-create.ts";

/** How the receiver is to treat its domain. */
export interface ReceiveOptions {
  debug: boolean;
  daemonize: boolean;
  monitor: boolean;
  paused: boolean;
}

const say = (host: Host, process: string, text: string): void =>
  stderr(host, process, `migration target: ${text}\n`);

function tell(host: Host, stream: string, said: MigrationLink["said"], status = 0): void {
  Object.assign(host.edit(migrationLinkCell, stream), { said, status });
}

/** Gives the domain its name and lets it run; the code of what failed, or 0. */
const startDomain = routine(
  "migration target start",
  (a: { process: string; domid: number; name: string; paused: boolean }) => ({ ...a, rc: 0 }),
  ({ attempt, call, when, step }) => [
    attempt([
      call("libxl_domain_rename", domainRename, ({ process, domid, name }) => ({
        process,
        t: 0,
        domid,
        oldName: `${name}--incoming`,
        newName: name,
      })),
      when("runs at once", (l) => !l.paused, [call("libxl_domain_unpause", domainUnpause, sameDomain)]),
      step("say so", (host, l) => say(host, l.process, "Domain started successsfully.")),
    ]).onError((l, errno) => void (l.rc = rcOf(errno)), []),
  ],
  (l) => l.rc,
);

/** Destroys the copy that did not start, and permits the sender to let its own go on. */
const giveUp = routine(
  "migration target failure",
  (a: { process: string; domid: number; stream: string }) => ({ ...a, errno: "EIO" as Errno }),
  ({ step, attempt, call, failWith }) => [
    step("say so", (host, l) => say(host, l.process, "Failure, destroying our copy.")),
    attempt([call("libxl_domain_destroy", domainDestroy, sameDomain)]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("not destroyed", (host, l) =>
          say(host, l.process, `Failed to destroy our copy (code ${rcOf(l.errno)}).`),
        ),
        failWith("nobody may start", (l) => l.errno),
      ],
    ),
    step("permit", (host, l) => {
      say(host, l.process, "Cleanup OK, granting sender permission to resume.");
      tell(host, l.stream, "go");
    }),
  ],
);

/** The receiver's process. */
export const migrateReceive = routine(
  "xl migrate-receive",
  (a: { process: string; stream: string; options: ReceiveOptions }) => ({
    ...a,
    domid: -1,
    name: "",
    rc: 0,
    go: false,
    status: 1,
  }),
  ({ step, waitFor, call, when, attempt }) => [
    step("libxl_ctx_alloc", (host, l) => {
      openContext(host, l.process);
      say(host, l.process, "Ready to receive domain.");
      tell(host, l.stream, "banner");
    }),
    waitFor("header", (host, l) => {
      const link = must(host, migrationLinkCell, l.stream);
      return link.stream !== "nothing" || link.senderEnded;
    }),
    attempt([
      call(
        "create_domain",
        createDomain,
        ({ process, stream, options }) => ({
          process,
          options: {
            configFile: null,
            extraConfig: "",
            restoreFile: stream,
            incoming: true,
            quiet: false,
            debug: options.debug,
            dryRun: false,
            paused: true,
            console: false,
            daemonize: options.daemonize,
            monitor: options.monitor,
            ignoreGlobalAffinityMasks: false,
          },
        }),
        (l, made) => {
          l.rc = made.rc;
          l.domid = made.domid;
          l.name = made.name;
        },
      ),
      when(
        "failed",
        (l) => l.rc !== 0 || l.domid < 0,
        [step("not made", (host, l) => say(host, l.process, `Domain creation failed (code ${l.rc}).`))],
        [
          step("ask", (host, l) => {
            say(host, l.process, "Transfer complete, requesting permission to start domain.");
            tell(host, l.stream, "ready");
          }),
          waitFor("GO message", (host, l) => {
            const link = must(host, migrationLinkCell, l.stream);
            return link.go || link.senderEnded;
          }),
          step("permission", (host, l) => {
            l.go = must(host, migrationLinkCell, l.stream).go;
            l.rc = -3;
            if (l.go) say(host, l.process, "Got permission, starting domain.");
          }),
          when("may start", (l) => l.go, [
            call(
              "start",
              startDomain,
              ({ process, domid, name, options }) => ({ process, domid, name, paused: options.paused }),
              (l, rc) => void (l.rc = rc),
            ),
          ]),
          step("report", (host, l) => tell(host, l.stream, "report", -l.rc)),
          when(
            "did not start",
            (l) => l.rc !== 0,
            [call("give up", giveUp, ({ process, domid, stream }) => ({ process, domid, stream }))],
            [step("success", (_host, l) => void (l.status = 0))],
          ),
        ],
      ),
    ]).onError(() => {}, []),
    step("exit", (host, l) => {
      receiverEnds(host, l.stream, l.status);
      closeContext(host, l.process);
      exitProcess(host, l.process, l.status);
    }),
  ],
);
