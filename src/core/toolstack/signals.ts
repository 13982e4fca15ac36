// SPDX-License-Identifier: Apache-2.0
//
// Signals that end or stop a process of dom0 where it stands, and as faults.

import { must } from "../engine/cells.ts";
import type { CellId, Cells } from "../engine/cells.ts";
import { clearFaults, faultKind } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { lockCell, releaseLock } from "../engine/lock.ts";
import { routine } from "../engine/routine.ts";
import { hasEnded, killThread, spawnThread, stopThread, threadCell } from "../engine/thread.ts";
import { mappingCell } from "../hypervisor/mapping-cells.ts";
import { unmapForeign } from "../hypervisor/memory-op.ts";
import { exitProcess, processCell } from "../daemons/process.ts";
import { XENCONSOLED } from "../daemons/xenconsoled-cells.ts";
import { xsClose, xsHandleCell } from "../daemons/xs-client.ts";
import { closeContext } from "./libxl-ctx.ts";

/** What a shell says of a process that SIGKILL has ended. */
const KILLED = 128 + 9;

const PROCESS_WORD = { name: "PROCESS", about: "a process of dom0, as xenolith ps shows it" } as const;

function refuseProcess(cells: Cells, [name = ""]: readonly string[]): string | null {
  const process = cells.get(processCell, name);
  return process === undefined || process.status !== null
    ? `dom0 has no process ${name}: xenolith ps lists those it has`
    : null;
}

/** Takes what a process maps of other domains out of dom0's page tables, as the kernel does at its end. */
function exitMmap(host: Host, process: string): void {
  for (const id of host.ids(mappingCell)) {
    const [mapper, mfn] = String(id).split("/").map(Number) as [number, number];
    if (mapper !== 0) continue;
    const entries = [...must(host, mappingCell, id).entries];
    for (const { process: by, kind, readonly, count } of entries) {
      if (by !== process || kind !== "foreign map") continue;
      for (let at = 0; at < count; at++) unmapForeign(host, { domid: 0, process }, { mfn, readonly });
    }
  }
}

/**
 * Ends a process where it stands; the kernel unmaps what it mapped, closes its
 * connections and its locks.
 *
 * @param children whether those it started in the foreground end with it, as with Ctrl-C
 */
export function killProcess(host: Host, name: string, status: number, children: boolean): void {
  const below = (id: CellId): id is string => id === name || String(id).startsWith(`${name}/`);
  const processes = host.ids(processCell).filter((id) => id === name || (children && below(id))) as string[];
  // A child process is no thread of its parent's.
  const others = new Set(host.ids(processCell).filter((id) => !processes.includes(id as string)));
  const belongs = (id: CellId): id is string => below(id) && !others.has(id);
  for (const thread of host.ids(threadCell).filter(belongs)) killThread(host, thread);
  for (const process of processes) {
    exitMmap(host, process);
    closeContext(host, process);
  }
  for (const handle of host.ids(xsHandleCell).filter(belongs)) xsClose(host, handle);
  for (const lock of host.ids(lockCell).filter(belongs)) releaseLock(host, lock);
  for (const process of processes)
    if (host.get(processCell, process)?.status === null) exitProcess(host, process, status);
}

faultKind({
  name: "kill-process",
  about: "ends this process where it stands, at once (SIGKILL)",
  words: [PROCESS_WORD],
  example: ["xl.1.monitor"],
  refuse: (cells, words) =>
    refuseProcess(cells, words) ??
    (words[0] === XENCONSOLED
      ? `nothing would start ${XENCONSOLED} again, and every guest's console is in it; stop-process stops it`
      : null),
  begin: (host, [name = ""]) => {
    killProcess(host, name, KILLED, false);
    // It is over as soon as it has begun.
    clearFaults(host, "kill-process", [name]);
  },
});

const goOn = routine(
  "SIGCONT",
  (a: { process: string; seconds: number }) => ({ ...a }),
  ({ sleep, step }) => [
    sleep("a while", (l) => l.seconds * 1_000_000),
    step("kill -CONT", (host, l) => void clearFaults(host, "stop-process", [l.process])),
  ],
);

const waker = (name: string): string => `${name}/SIGCONT`;

faultKind({
  name: "stop-process",
  about: "stops this process where it stands (SIGSTOP), for so many seconds or until it is cleared",
  words: [PROCESS_WORD, { name: "SECONDS", about: "for how long", fallback: "for ever" }],
  example: ["xenconsoled", "30"],
  refuse: (cells, words) =>
    refuseProcess(cells, words) ??
    (words[1] === "for ever" || /^\d+(\.\d+)?$/.test(words[1] ?? "")
      ? null
      : `${words[1]} is not a number of seconds`),
  begin: (host, [name = "", seconds]) => {
    stopThread(host, name, true);
    if (seconds !== "for ever")
      spawnThread(host, waker(name), goOn, { process: name, seconds: Number(seconds) });
  },
  end: (host, [name = ""]) => {
    if (host.current !== waker(name) && !hasEnded(host, waker(name))) killThread(host, waker(name));
    stopThread(host, name, false);
  },
});
