// SPDX-License-Identifier: Apache-2.0
//
// xl migrate (tools/xl/xl_migrate.c, migrate_domain). The only host there is is
// this one: any other name is one ssh cannot resolve.

import { must } from "../../engine/cells.ts";
import { fail, present } from "../../engine/errno.ts";
import type { Errno, Failure } from "../../engine/errno.ts";
import type { Host } from "../../engine/host.ts";
import { routine } from "../../engine/routine.ts";
import { spawnProcess, stderr } from "../../daemons/process.ts";
import { domainDestroy } from "../domain-destroy.ts";
import { domainResume, domainSuspend } from "../domain-suspend.ts";
import { libxlError } from "../log.ts";
import { migrateReceive } from "../migrate-receive.ts";
import { hasSaid, migrationLinkCell, openLink, senderEnds, sendStream } from "../migration-link.ts";
import { findDomain } from "../name.ts";
import { ERROR_FAIL, ERROR_GUEST_TIMEDOUT, rcOf } from "../rc.ts";
import { domainRename } from "../rename.ts";
import { sameDomain } from "../same.ts";
import { encodeSaveFile, saveHeaderOf } from "../save-file.ts";
import type { SavedImage } from "../save-image.ts";
import { verb } from "../verb.ts";
import type { XlCommands } from "../xl/command.ts";
import * as say from "../xl/messages.ts";
import { configToSave } from "./save.ts";

/** Microseconds the receiver has to end after a failure. */
const END_TIMEOUT = 2_000_000;

/** Names of this host. */
const LOCAL = ["localhost", "127.0.0.1", "::1"];

const tell = (host: Host, process: string, text: string): void =>
  stderr(host, process, `migration sender: ${text}\n`);

/** The receiver said something else than what was to come: nothing. */
function truncated(host: Host, process: string, what: string): Failure {
  const text = `file/stream truncated reading ${what} from migration receiver stream`;
  libxlError(host, process, "libxl_utils.c:505:libxl_read_exactly", text);
  return fail(ERROR_FAIL);
}

/** Waits until the receiver says a word. Fails, and says so, where it ended without. */
const waitForWord = routine(
  "migrate_read_fixedmessage",
  (a: { process: string; stream: string; word: "banner" | "ready" | "report" | "go"; what: string }) => ({
    ...a,
  }),
  ({ waitFor, step }) => [
    waitFor("libxl_read_exactly", (host, l) => hasSaid(host, l.stream, l.word)),
    step("memcmp", (host, l) =>
      must(host, migrationLinkCell, l.stream).said === l.word
        ? undefined
        : truncated(host, l.process, l.what),
    ),
  ],
);

/** Gives the receiver up: waits for its end and says how it ended, if badly. */
const childReport = routine(
  "migration_child_report",
  (a: { process: string; stream: string }) => ({ ...a, late: false }),
  ({ waitFor, step }) => [
    waitFor("waitpid", (host, l) => must(host, migrationLinkCell, l.stream).exitStatus !== null, {
      timeout: () => END_TIMEOUT,
      timedOut: (l) => void (l.late = true),
    }),
    step("how it ended", (host, l) => {
      const { exitStatus } = must(host, migrationLinkCell, l.stream);
      if (l.late)
        stderr(
          host,
          l.process,
          "migration child not exiting, no longer waiting (exit status will be unreported)\n",
        );
      else if (exitStatus !== 0) {
        const text = `migration transport process exited with error status ${exitStatus}`;
        stderr(host, l.process, `libxl: info: libxl_exec.c:117:libxl_report_child_exitstatus: ${text}\n`);
      }
      senderEnds(host, l.stream);
    }),
  ],
);

/** Starts the receiver and sends it the configuration. Fails, and says so, where there is no such host. */
const preamble = routine(
  "migrate_do_preamble",
  (a: { process: string; command: XlCommands["migrate"]; config: string }) => ({
    ...a,
    stream: "",
    local: false,
  }),
  ({ step, when, call, failWith }) => [
    step("create_migration_child", (host, l) => {
      const { command, process } = l;
      l.local = LOCAL.includes(command.host);
      if (!l.local) {
        stderr(host, process, `ssh: Could not resolve hostname ${command.host}: Name or service not known\n`);
        return void truncated(host, process, "banner");
      }
      l.stream = `/dev/fd/${process}`;
      openLink(host, l.stream);
      const { debug, daemonize, monitor, paused } = command;
      const args = { stream: l.stream, options: { debug, daemonize, monitor, paused } };
      spawnProcess(host, `${process}/receive`, ["xl", "migrate-receive"], migrateReceive, args);
    }),
    when("no such host", (l) => !l.local, [failWith("unreachable", ERROR_FAIL)]),
    call("banner", waitForWord, ({ process, stream }) => ({
      process,
      stream,
      word: "banner" as const,
      what: "banner",
    })),
    step("save_domain_core_writeconfig", (host, l) => {
      const { bytes, mandatoryFlags, optionalFlags, optionalLength } = saveHeaderOf(l.config);
      sendStream(host, l.stream, bytes, false);
      stderr(
        host,
        l.process,
        say.savingTo("migration stream", mandatoryFlags, optionalFlags, optionalLength),
      );
    }),
  ],
  (l) => l.stream,
);

/**
 * Suspends the domain, sends it, and gives it another name. Fails, and says so, while the domain can still
 * go on here.
 */
const transfer = routine(
  "migration sender",
  (a: { process: string; domid: number; name: string | null; config: string; stream: string }) => ({
    ...a,
    image: null as SavedImage | null,
    errno: "EIO" as Errno,
  }),
  ({ attempt, call, step, when, failWith }) => [
    attempt([
      call(
        "libxl_domain_suspend",
        domainSuspend,
        ({ process, domid }) => ({ process, domid, detailed: false, progress: false }),
        (l, image) => void (l.image = image),
      ),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("say so", (host, l) =>
          tell(host, l.process, `libxl_domain_suspend failed (rc=${rcOf(l.errno)})`),
        ),
        failWith("not suspended", (l) => l.errno),
      ],
    ),
    step("write", (host, l) => sendStream(host, l.stream, encodeSaveFile(l.config, present(l.image)), true)),
    call("ready message", waitForWord, ({ process, stream }) => ({
      process,
      stream,
      word: "ready" as const,
      what: "ready message",
    })),
    step("acknowledged", (host, l) => tell(host, l.process, "Target has acknowledged transfer.")),
    when("has a name", (l) => l.name !== null, [
      call("libxl_domain_rename", domainRename, ({ process, domid, name }) => ({
        process,
        t: 0,
        domid,
        oldName: name,
        newName: `${name}--migratedaway`,
      })),
    ]),
  ],
);

const UNDEFINED_STATE =
  "** Migration failed during final handshake **\n" +
  "Domain state is now undefined !\n" +
  "Please CHECK AT BOTH ENDS for running instances, before renaming and\n" +
  " resuming at most one instance.  Two simultaneous instances of the domain\n" +
  " would probably result in SEVERE DATA LOSS and it is now your\n" +
  " responsibility to avoid that.  Sorry.\n";

/**
 * Lets the receiver start its copy; what it reports. From here on nobody knows where the domain runs,
 * unless it says so.
 */
const permission = routine(
  "migration handshake",
  (a: { process: string; stream: string }) => ({ ...a, status: 0 }),
  ({ attempt, step, call, when, failWith }) => [
    attempt([
      step("GO message", (host, l) => {
        tell(host, l.process, "Giving target permission to start.");
        host.edit(migrationLinkCell, l.stream).go = true;
      }),
      call("report", waitForWord, ({ process, stream }) => ({
        process,
        stream,
        word: "report" as const,
        what: "success/failure report message",
      })),
      step("status", (host, l) => void (l.status = must(host, migrationLinkCell, l.stream).status)),
      when("not started", (l) => l.status !== 0, [
        step("say so", (host, l) =>
          tell(host, l.process, `Target reports startup failure (status code ${l.status}).`),
        ),
        call("its copy is gone", waitForWord, ({ process, stream }) => ({
          process,
          stream,
          word: "go" as const,
          what: "permission for sender to resume",
        })),
      ]),
    ]).onError(() => {}, [
      step("undefined", (host, l) => stderr(host, l.process, UNDEFINED_STATE)),
      call("migration_child_report", childReport, ({ process, stream }) => ({ process, stream })),
      failWith("failed badly", ERROR_FAIL),
    ]),
  ],
  (l) => l.status,
);

/** The receiver could not start its copy: the domain goes on here. */
const resumeHere = routine(
  "migration sender resume",
  (a: { process: string; domid: number; name: string | null }) => ({ ...a }),
  ({ step, when, attempt, call }) => [
    step("say so", (host, l) => tell(host, l.process, "Trying to resume at our end.")),
    attempt([
      when("has a name", (l) => l.name !== null, [
        call("libxl_domain_rename", domainRename, ({ process, domid, name }) => ({
          process,
          t: 0,
          domid,
          oldName: `${name}--migratedaway`,
          newName: present(name),
        })),
      ]),
    ]).onError(() => {}, []),
    attempt([
      call("libxl_domain_resume", domainResume, sameDomain),
      step("resumed", (host, l) => tell(host, l.process, "Resumed OK.")),
    ]).onError(() => {}, []),
    step("failed", (host, l) => stderr(host, l.process, "Migration failed due to problems at target.\n")),
  ],
);

/** What follows a failure before the receiver was let go: the domain goes on, unless it never stopped. */
const failed = routine(
  "failed_resume",
  (a: { process: string; domid: number; stream: string; suspended: boolean }) => ({ ...a }),
  ({ step, call, when, attempt }) => [
    step("close", (host, l) => void (host.edit(migrationLinkCell, l.stream).senderEnded = true)),
    call("migration_child_report", childReport, ({ process, stream }) => ({ process, stream })),
    step("say so", (host, l) => {
      const what = l.suspended ? "resuming at sender" : "failed to suspend at sender";
      stderr(host, l.process, `Migration failed, ${what}.\n`);
    }),
    when("resume", (l) => l.suspended, [
      attempt([call("libxl_domain_resume", domainResume, sameDomain)]).onError(() => {}, []),
    ]),
  ],
);

export const migrateVerb = verb(
  "migrate",
  ({ process, command }) => ({
    process,
    command,
    status: 1,
    domid: -1,
    name: null as string | null,
    config: "",
    stream: "",
    started: 0,
    errno: "EIO" as Errno,
  }),
  ({ call, attempt, failWith, when, step }) => [
    call(
      "find_domain",
      findDomain,
      ({ process, command }) => ({ process, domain: command.domain }),
      (l, { domid, name }) => {
        l.domid = domid;
        l.name = name;
      },
    ),
    call(
      "save_domain_core_begin",
      configToSave,
      ({ process, domid, command: { configFile, preserveDomid } }) => ({
        process,
        domid,
        configFile,
        preserveDomid,
      }),
      (l, config) => void (l.config = config),
    ),
    call(
      "migrate_do_preamble",
      preamble,
      ({ process, command, config }) => ({ process, command, config }),
      (l, stream) => void (l.stream = stream),
    ),
    attempt([
      call("transfer", transfer, ({ process, domid, name, config, stream }) => ({
        process,
        domid,
        name,
        config,
        stream,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        call("failed", failed, ({ process, domid, stream, errno }) => ({
          process,
          domid,
          stream,
          suspended: errno !== ERROR_GUEST_TIMEDOUT,
        })),
        failWith("not migrated", (l) => l.errno),
      ],
    ),
    call(
      "permission to go",
      permission,
      ({ process, stream }) => ({ process, stream }),
      (l, status) => void (l.started = status),
    ),
    step("through with the link", (host, l) => senderEnds(host, l.stream)),
    when(
      "not started there",
      (l) => l.started !== 0,
      [call("resume", resumeHere, ({ process, domid, name }) => ({ process, domid, name }))],
      [
        step("say so", (host, l) => tell(host, l.process, "Target reports successful startup.")),
        attempt([call("libxl_domain_destroy", domainDestroy, sameDomain)]).onError(() => {}, []),
        step("done", (host, l) => {
          stderr(host, l.process, "Migration successful.\n");
          l.status = 0;
        }),
      ],
    ),
  ],
);
