// SPDX-License-Identifier: Apache-2.0
//
// What xl create leaves behind: a process that waits for its domain's end and
// does what the configuration wants done then (tools/xl/xl_vmcontrol.c,
// create_domain's loop and handle_domain_death).

import { present } from "../engine/errno.ts";
import { must } from "../engine/cells.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { exitProcess, processCell, stderr } from "../daemons/process.ts";
import { domainCoreDump } from "./core-dump.ts";
import { createState, settledConfig } from "./create-state.ts";
import { unwatchDeaths, waitForDomainEvent, watchDeaths } from "./domain-death.ts";
import type { DomainEvent } from "./domain-death.ts";
import { domainDestroy } from "./domain-destroy.ts";
import { closeContext, openContext } from "./libxl-ctx.ts";
import { makeDomain } from "./make-domain.ts";
import type { MakeHow } from "./make-domain.ts";
import { domainPreserve } from "./preserve.ts";
import { rcOf } from "./rc.ts";
import { reloadConfig } from "./reload-config.ts";
import * as say from "./xl/messages.ts";
import type { ActionOnShutdown, DomainConfig } from "./xlcfg/domain-config.ts";
import type { Watch } from "./xs.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** Microseconds xl waits before it creates a domain again: without that, it says, creation sometimes fails. */
const REBOOT_PAUSE = 2_000_000;

/** Where cores are dumped (XEN_DUMP_DIR). */
const DUMP_DIR = "/var/lib/xen/dump";

/** Shutdown reasons (public/sched.h). */
const SUSPEND = 2;

/** How xl.cfg spells an action. */
const spelling = (action: ActionOnShutdown): string =>
  action === "restart_rename" ? "rename-restart" : action.replaceAll("_", "-");

/** What a configuration wants done after a shutdown; null for a reason it has no word for. */
function actionFor(config: DomainConfig, reason: number): ActionOnShutdown | null {
  const { on_poweroff, on_reboot, on_crash, on_watchdog, on_soft_reset } = config;
  return [on_poweroff, on_reboot, null, on_crash, on_watchdog, on_soft_reset][reason] ?? null;
}

/** What becomes of a domain that was shut down. */
type Restart = "none" | "normal" | "rename" | "soft reset";

const RESTARTS: { readonly [action in ActionOnShutdown]: Restart } = {
  destroy: "none",
  restart: "normal",
  restart_rename: "rename",
  preserve: "none",
  coredump_destroy: "none",
  coredump_restart: "normal",
  soft_reset: "soft reset",
};

const dumpsCore = (action: ActionOnShutdown): boolean =>
  action === "coredump_destroy" || action === "coredump_restart";
const destroys = (action: ActionOnShutdown): boolean =>
  dumpsCore(action) || action === "destroy" || action === "restart";

/** Does what is wanted after a shutdown (handle_domain_death); how the domain is to be made again, if it is. */
const handleDeath = routine(
  "handle_domain_death",
  (a: { process: string; domid: number; reason: number }) => ({
    ...a,
    action: "destroy" as ActionOnShutdown,
    name: "",
    errno: "EIO" as Errno,
  }),
  ({ step, when, attempt, call }) => [
    step("which action", (host, l) => {
      const { given } = createState(host, l.process);
      const action = actionFor(given as DomainConfig, l.reason);
      if (action === null) stderr(host, l.process, say.monitorUnknownReason(l.reason));
      l.action = action ?? "destroy";
      l.name = given.c_info.name ?? "";
      stderr(host, l.process, say.monitorAction(l.reason, spelling(l.action)));
      if (dumpsCore(l.action)) stderr(host, l.process, say.monitorDumpingCore(`${DUMP_DIR}/${l.name}`));
    }),
    when("dumps core", (l) => dumpsCore(l.action), [
      attempt([
        call("dump core", domainCoreDump, ({ process, domid, name }) => ({
          process,
          domid,
          file: `${DUMP_DIR}/${name}`,
        })),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [step("no core", (host, l) => stderr(host, l.process, `core dump failed (rc=${rcOf(l.errno)}).\n`))],
      ),
    ]),
    when("made again", (l) => RESTARTS[l.action] !== "none", [
      call("reload_domain_config", reloadConfig, sameDomain),
    ]),
    when("destroyed", (l) => destroys(l.action), [
      step("say so", (host, l) => stderr(host, l.process, say.monitorCleaningUp(l.domid))),
      attempt([call("destroy", domainDestroy, sameDomain)]).onError(() => {}, []),
    ]),
  ],
  (l) => RESTARTS[l.action],
);

/** What one life of a domain ended with. */
type Outcome = { restart: Restart; domid: number; rc: number };

/**
 * Waits for a domain's end and does what is wanted then. `restart` says whether
 * and how it is to be made again, `domid` which domain is still there for that.
 */
const untilItsEnd = routine(
  "domain_wait_event",
  (a: { process: string; domid: number }) => ({
    ...a,
    watch: null as Watch | null,
    event: { kind: "death" } as DomainEvent,
    restart: "none" as Restart,
    rc: 0,
  }),
  ({ call, step, when, attempt }) => [
    step("say what for", (host, l) => {
      const { pid } = must(host, processCell, l.process);
      const { name } = settledConfig(host, l.process).c_info;
      stderr(host, l.process, say.monitorWaiting(name ?? "", l.domid, pid));
    }),
    call("watch deaths", watchDeaths, sameProcess, (l, watch) => void (l.watch = watch)),
    call(
      "wait",
      waitForDomainEvent,
      ({ process, domid, watch }) => ({
        process,
        watch: present(watch),
        domains: [{ domid, shutdownReported: false }],
      }),
      (l, { event }) => void (l.event = event),
    ),
    step("what happened", (host, l) => {
      const { event, domid } = l;
      const text =
        event.kind === "death" ? say.monitorDestroyed(domid) : say.monitorShutDown(domid, event.reason);
      stderr(host, l.process, text);
      if (event.kind === "shutdown" && event.reason === SUSPEND)
        stderr(host, l.process, say.monitorSuspended);
    }),
    when("shut down", (l) => l.event.kind === "shutdown" && l.event.reason !== SUSPEND, [
      call(
        "handle",
        handleDeath,
        ({ process, domid, event }) => ({
          process,
          domid,
          reason: event.kind === "shutdown" ? event.reason : 0,
        }),
        (l, restart) => void (l.restart = restart),
      ),
      when("keep it under another name", (l) => l.restart === "rename", [
        attempt([call("preserve", domainPreserve, sameDomain)]).onError((l) => {
          // The old domain stays as it is, and nothing is made in its place.
          l.restart = "none";
          l.rc = -1;
        }, []),
      ]),
    ]),
    step("what follows", (host, l) => {
      if (l.event.kind === "shutdown" && l.restart === "none" && l.rc === 0)
        stderr(host, l.process, say.monitorExiting);
    }),
    call("unwatch deaths", unwatchDeaths, ({ process, watch }) => ({ process, watch: present(watch) })),
  ],
  ({ restart, domid, rc }): Outcome => ({ restart, domid, rc }),
);

/**
 * Looks after a domain, and after those that are made in its place, until none
 * is to be made again; create_domain's result.
 */
export const lookAfter = routine(
  "create_domain loop",
  (a: { process: string; domid: number }) => ({ ...a, restart: "none" as Restart, rc: 0 }),
  ({ repeatUntil, call, when, step, sleep }) => [
    repeatUntil("no more", (l) => l.restart === "none", [
      call("until its end", untilItsEnd, sameDomain, (l, { restart, rc }) => {
        l.restart = restart;
        l.rc = rc;
      }),
      when("again", (l) => l.restart !== "none", [
        step("say so", (host, l) => stderr(host, l.process, say.monitorRebooting)),
        sleep("sleep(2)", () => REBOOT_PAUSE),
        call("make it", makeDomain, makeArgs, (l, made) => {
          l.domid = made.domid;
          l.rc = made.rc;
          if (made.rc !== 0) l.restart = "none";
        }),
      ]),
    ]),
  ],
  (l) => l.rc,
);

/** How a domain is made again. */
function makeArgs(l: { process: string; domid: number; restart: Restart }): { process: string } & MakeHow {
  const reset = l.restart === "soft reset" ? l.domid : null;
  return { process: l.process, source: null, reset, paused: false, console: false };
}

/** The process that daemonised: a context of its own, its output in a log, its domain's end to wait for. */
export const monitorProcess = routine(
  "xl monitor",
  (a: { process: string; domid: number }) => ({ ...a, rc: 0 }),
  ({ step, call, attempt }) => [
    step("postfork", (host, l) => openContext(host, l.process)),
    attempt([call("look after", lookAfter, sameDomain, (l, rc) => void (l.rc = rc))]).onError(
      (l, errno) => void (l.rc = rcOf(errno)),
      [],
    ),
    step("exit", (host, l) => {
      closeContext(host, l.process);
      exitProcess(host, l.process, l.rc);
    }),
  ],
);
