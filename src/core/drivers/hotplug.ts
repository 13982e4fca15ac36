// SPDX-License-Identifier: Apache-2.0
//
// Hotplug scripts as processes of the backend's domain: what libxl executes when a
// backend has come up or is gone (tools/hotplug/Linux). Each takes its time and may fail.

import { must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { faultKind, faultOf } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { killThread, threadCell } from "../engine/thread.ts";
import {
  currentDomid,
  exitProcess,
  hasExited,
  processCell,
  reap,
  spawnProcess,
  stderr,
} from "../daemons/process.ts";
import { ofDomain } from "./backend-devices.ts";
import { blockScript } from "./script-block.ts";
import { vifBridgeScript } from "./script-vif-bridge.ts";
import { dropLock } from "./script.ts";
import type { ScriptArgs } from "./script.ts";
import { closeCommands } from "./xenstore-tools.ts";

/** How a script is executed: its arguments and its environment. */
export interface ScriptRun {
  script: string;
  args: readonly string[];
  env: { readonly [name: string]: string };
}

/** How long a script works before its first look at xenstore, in µs, where nobody says otherwise. */
export const SCRIPT_US = 20_000;

const SCRIPT_WORD = { name: "SCRIPT", about: "the script, by its path" } as const;

function notPositive(text: string): boolean {
  return !/^\d+(\.\d+)?$/.test(text);
}

function refuseScript(script: string): string | null {
  return scripts[script] === undefined
    ? `dom0 has no hotplug script ${script}; it has ${Object.keys(scripts).join(", ")}`
    : null;
}

/** Scripts that take their time: a slow DNS, a lock that others hold. */
export const slowScript = faultKind({
  name: "slow-script",
  about: "this hotplug script takes so long before it does anything",
  words: [SCRIPT_WORD, { name: "SECONDS", about: "how long", fallback: "60" }],
  example: ["/etc/xen/scripts/block", "90"],
  refuse: (_cells, [script = "", seconds = ""]) =>
    refuseScript(script) ?? (notPositive(seconds) ? `${seconds} is not a number of seconds` : null),
});

/** Scripts that fail before they do anything. */
export const failScript = faultKind({
  name: "fail-script",
  about: "this hotplug script ends at once with an error",
  words: [SCRIPT_WORD, { name: "STATUS", about: "its exit status, 1 to 255", fallback: "1" }],
  example: ["/etc/xen/scripts/vif-bridge"],
  refuse: (_cells, [script = "", status = ""]) =>
    refuseScript(script) ??
    (/^\d{1,3}$/.test(status) && Number(status) > 0 && Number(status) < 256
      ? null
      : `${status} is not an exit status of 1 to 255`),
});

/** The scripts dom0 has: what Debian's xen-utils-common installs, as far as it needs nothing else. */
const scripts: { readonly [path: string]: string } = {
  "/etc/xen/scripts/block": blockScript.name,
  "/etc/xen/scripts/vif-bridge": vifBridgeScript.name,
};

interface HotplugLocals extends ScriptArgs {
  script: string;
  delay: number;
  status: number | null;
}

const hotplugProcess = routine(
  "hotplug script",
  (a: ScriptArgs & { script: string }): HotplugLocals => ({ ...a, delay: SCRIPT_US, status: null }),
  ({ step, sleep, when, callNamed }) => [
    step("execve", (host, l) => {
      const [, seconds] = faultOf(host, slowScript, l.script)?.words ?? [];
      const [, status] = faultOf(host, failScript, l.script)?.words ?? [];
      if (seconds !== undefined) l.delay = Number(seconds) * 1_000_000;
      if (status !== undefined) l.status = Number(status);
      if (scripts[l.script] === undefined) {
        stderr(host, l.process, `cannot execute ${l.script}: No such file or directory\n`);
        l.delay = 0;
        l.status = 255;
      }
    }),
    sleep("bash", (l) => l.delay),
    when("goes on", (l) => l.status === null, [
      callNamed(
        "script",
        (l) => scripts[l.script] as string,
        ({ process, domid, args, env }) => ({ process, domid, args, env }),
        (l, status) => {
          l.status = status as number;
        },
      ),
    ]),
    step("exit", (host, l) => exitProcess(host, l.process, l.status ?? 0)),
  ],
);

/**
 * Executes a script as a process of that name, which is its parent's to wait for. Gives the name.
 *
 * @param domid where it runs, if not where the step is taken
 */
export function startHotplug(
  host: Host,
  name: string,
  { script, args, env }: ScriptRun,
  domid = currentDomid(host),
): string {
  return spawnProcess(
    host,
    name,
    [script, ...args],
    hotplugProcess,
    { domid, script, args, env },
    { awaited: true, domid },
  );
}

/** Whether a script has ended. */
export function hotplugEnded(cells: Cells, name: string): boolean {
  return hasExited(cells, name);
}

/** A script's pid. */
export function hotplugPid(cells: Cells, name: string): number {
  return must(cells, processCell, name).pid;
}

/**
 * Kills a script that takes too long (SIGKILL) and reaps it. What it has done
 * stays done; its lock and the connection of its xenstore command go with it.
 */
export function killHotplug(host: Host, name: string): void {
  const domid = host.get(threadCell, name)?.domid ?? 0;
  killThread(host, name);
  dropLock(host, name, ofDomain(domid, "block"));
  closeCommands(host, name);
  exitProcess(host, name, 137);
  reap(host, name);
}

/** The exit status of a script that has ended, which is then forgotten. */
export function reapHotplug(cells: Cells, name: string): number {
  return reap(cells, name);
}
