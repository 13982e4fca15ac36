// SPDX-License-Identifier: Apache-2.0
//
// Running hotplug scripts for a device whose backend has come up or gone away
// (tools/libs/light/libxl_device.c, device_hotplug).

import { present } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { hotplugEnded, hotplugPid, killHotplug, reapHotplug, startHotplug } from "../drivers/hotplug.ts";
import { backendPath, deviceName, ownDomid } from "./device.ts";
import type { Device } from "./device.ts";
import { waitForNode } from "./device-wait.ts";
import { scriptInfo } from "./hotplug-scripts.ts";
import type { DeviceAction, ScriptRun } from "./hotplug-scripts.ts";
import { contextLock } from "./libxl-ctx.ts";
import { complaining, libxlDebug, libxlError } from "./log.ts";
import { ERROR_FAIL, ERROR_TIMEDOUT } from "./rc.ts";
import { xsRead, xsWatch } from "./xs.ts";
import type { Watch } from "./xs.ts";
import { sameProcess } from "./same.ts";

/** Microseconds a script may take (LIBXL_HOTPLUG_TIMEOUT). */
const HOTPLUG_TIMEOUT = 40_000_000;

/** Microseconds a driver domain has to remove what it served (LIBXL_DESTROY_TIMEOUT). */
const DESTROY_TIMEOUT = 10_000_000;

/** Runs a script and waits for its end, or kills it when its time is up (libxl__async_exec). */
const asyncExec = routine(
  "libxl__async_exec",
  (a: { process: string; name: string; run: ScriptRun }) => ({
    ...a,
    script: "",
    timedOut: false,
    status: 0,
    pid: 0,
  }),
  ({ step, waitFor, when, failWith }) => [
    step("fork and exec", (host, l) => {
      const text = `forking to execute: ${what(l.run)} `;
      libxlDebug(host, l.process, "libxl_aoutils.c:593:libxl__async_exec_start", text);
      l.script = startHotplug(host, `${l.process}/${l.name}.script`, l.run);
      l.pid = hotplugPid(host, l.script);
    }),
    waitFor("SIGCHLD", (host, l) => hotplugEnded(host, l.script), {
      timeout: () => HOTPLUG_TIMEOUT,
      timedOut: (l) => void (l.timedOut = true),
    }),
    when("too slow", (l) => l.timedOut, [
      step("SIGKILL", (host, l) => {
        libxlError(
          host,
          l.process,
          "libxl_aoutils.c:542:async_exec_timeout",
          `killing execution of ${what(l.run)} because of timeout`,
        );
        killHotplug(host, l.script);
      }),
      failWith("timed out", ERROR_TIMEDOUT),
    ]),
    step("waitpid", (host, l) => {
      l.status = reapHotplug(host, l.script);
      if (l.status === 0) return;
      const line = `${what(l.run)} [${l.pid}] exited with error status ${l.status}`;
      libxlError(host, l.process, "libxl_exec.c:117:libxl_report_child_exitstatus", line);
    }),
  ],
  (l) => l.status,
);

const what = (run: ScriptRun): string => `${run.script} ${run.args[0]}`;

/** What is said of the script that is run next, or that there is none. */
function sayHotplug(
  host: Host,
  l: { process: string; device: Device; runs: number; run: ScriptRun | null },
): void {
  const { domid, backendKind } = l.device;
  const say = (line: number, text: string): void =>
    libxlDebug(host, l.process, `libxl_device.c:${line}:device_hotplug`, text, domid);
  if (l.run === null) {
    const why = `num_exec ${l.runs}, not running hotplug scripts`;
    if (backendKind === "vbd")
      libxlDebug(host, l.process, "libxl_linux.c:211:libxl__get_hotplug_script_info", why, domid);
    return say(1254, "No hotplug script to execute");
  }
  say(1269, `calling hotplug script: ${what(l.run)}`);
  say(1270, "extra args:");
  for (const arg of l.run.args.slice(1)) say(1276, `\t${arg}`);
  say(1278, "env:");
  for (const [name, value] of Object.entries(l.run.env)) say(1285, `\t${name}: ${value}`);
}

/**
 * Waits until a driver domain has taken a device down, run its scripts, and removed its directory
 * (device_destroy_be_watch_cb); says so where it does not.
 */
const backendRemoved = routine(
  "device_destroy_be_watch_cb",
  (a: { process: string; domid: number; back: string }) => ({
    ...a,
    watch: null as Watch | null,
    errno: "EIO" as Errno,
  }),
  ({ locked, call, attempt, step, failWith }) => [
    locked("libxl__xswait_start", (l) => contextLock(l.process), [
      call(
        "watch backend",
        xsWatch,
        ({ process, back }) => ({ process, path: back }),
        (l, watch) => void (l.watch = watch),
      ),
    ]),
    attempt([
      call("removal of backend path", waitForNode, ({ process, watch }) => ({
        process,
        watch: watch as Watch,
        hope: { gone: true as const },
        timeout: DESTROY_TIMEOUT,
      })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("say", (host, { process, domid, back }) => {
          const text = `timed out while waiting for ${back} to be removed`;
          libxlError(host, process, "libxl_device.c:1375:device_destroy_be_watch_cb", text, domid);
        }),
        failWith("not removed", (l) => l.errno),
      ],
    ),
  ],
);

/**
 * Runs a device's scripts one after another (device_hotplug). A device that is
 * being added fails with its first script; one that goes away gets all of them
 * run, and what became of them is forgotten when there is no further one.
 */
export const deviceHotplug = routine(
  "device_hotplug",
  (a: { process: string; device: Device; action: DeviceAction }) => ({
    ...a,
    back: "",
    own: 0,
    runs: 0,
    run: null as ScriptRun | null,
    status: 0,
    error: null as string | null,
    failed: null as Errno | null,
    domid: a.device.domid,
    errno: "EIO" as Errno,
  }),
  (words) => {
    const { repeatUntil, locked, call, when, attempt, step, failWith } = words;
    const complain = complaining(words);
    return [
      repeatUntil("no more scripts", (l) => l.run === null, [
        locked("device_hotplug", (l) => contextLock(l.process), [
          call(
            "backend path",
            backendPath,
            ({ process, device }) => ({ process, device }),
            (l, path) => void (l.back = path),
          ),
          call("own domid", ownDomid, sameProcess, (l, domid) => void (l.own = domid)),
          // A driver domain runs the scripts of what it serves itself.
          when("served from here", (l) => l.device.backendDomid === l.own, [
            complain(
              {
                where: "libxl_device.c:1261:device_hotplug",
                text: (l) => `unable to get args/env to execute hotplug script for device ${l.back}`,
              },
              [
                call(
                  "script info",
                  scriptInfo,
                  ({ process, device, action, runs }) => ({ process, device, action, runs }),
                  (l, run) => void (l.run = run),
                ),
              ],
            ),
            step("say what", (host, l) => sayHotplug(host, l), { unseen: true }),
          ]),
        ]),
        when("a script", (l) => l.run !== null, [
          attempt([
            call(
              "exec",
              asyncExec,
              ({ process, device, action, runs, run }) => ({
                process,
                name: `${deviceName(device)}-${action}${runs === 0 ? "" : runs}`,
                run: present(run),
              }),
              (l, status) => void (l.status = status),
            ),
          ]).onError((l, errno) => void (l.failed = errno), []),
          locked("device_hotplug_child_death_cb", (l) => contextLock(l.process), [
            call(
              "backend path again",
              backendPath,
              ({ process, device }) => ({ process, device }),
              (l, path) => {
                l.back = path;
              },
            ),
            when("script failed", (l) => l.status !== 0, [
              call(
                "hotplug-error",
                xsRead,
                ({ process, back }) => ({ process, path: `${back}/hotplug-error` }),
                (l, error) => {
                  l.error = error;
                  l.failed = ERROR_FAIL;
                },
              ),
              step("say why", (host, l) => {
                if (l.error === null) return;
                libxlError(
                  host,
                  l.process,
                  "libxl_device.c:1337:device_hotplug_child_death_cb",
                  `script: ${l.error}`,
                );
              }),
            ]),
            when("cannot be added", (l) => l.failed !== null && l.action === "add", [
              failWith("not added", (l) => present(l.failed)),
            ]),
            step("num_exec++", (_host, l) => {
              l.runs++;
              l.status = 0;
            }),
          ]),
        ]),
      ]),
      when("a driver domain's to remove", (l) => l.action === "remove" && l.device.backendDomid !== l.own, [
        call("backend removed", backendRemoved, ({ process, device, back }) => ({
          process,
          domid: device.domid,
          back,
        })),
      ]),
    ];
  },
);
