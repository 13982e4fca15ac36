// SPDX-License-Identifier: Apache-2.0
//
// A live host in this process, from its start to its end.

import type { HostConfig } from "../core/host.ts";
import { ShutdownCode } from "../core/hypervisor/domain.ts";
import type { Directory } from "../live/directory.ts";
import { shellWord } from "../live/directory.ts";
import { serveHostMetrics } from "../live/host-metrics.ts";
import { LiveHost } from "../live/live-host.ts";
import { watchHost } from "../live/onlooker.ts";
import type { Onlooker } from "../live/onlooker.ts";
import type { Problem } from "../live/problem.ts";
import { verbsOf } from "../live/verbs.ts";
import type { HostDaemons } from "./host-options.ts";
import { callable, version } from "./self.ts";
import { untilSignal } from "./signals.ts";

/** What the host is and what is done on it first. */
export interface ForegroundOptions {
  where: Directory;
  config: Partial<HostConfig>;
  /** Which of Xen's own daemons serve it; ours where none are said. */
  daemons?: HostDaemons;
  /** Port to serve metrics at; none where none is said. */
  metrics?: number;
  trace: string | null;
  /** Done when the host is up, before commands are let in; what is thrown ends the host. */
  prepare?: (host: LiveHost) => Promise<void>;
  /** Commands to try next, as they can be typed. */
  hints: readonly string[];
  /** Prints one JSON object when the host is up, and nothing else. */
  json: boolean;
}

/** What to try next on a host in that directory. */
export function firstHints(where: Directory, dir: string): string[] {
  return [
    `xenolith xl${dir} list`,
    `xenolith store${dir} ls -f /local/domain`,
    `XENSTORED_PATH=${shellWord(where.xenstored)} xenstore-ls -f`,
    `xenolith down${dir}`,
  ];
}

function announce({ where, hints, json }: ForegroundOptions, metrics: number | undefined): void {
  if (json) {
    const more = metrics === undefined ? {} : { metrics };
    process.stdout.write(
      `${JSON.stringify({ dir: where.dir, pid: process.pid, xenstored: where.xenstored, ...more })}\n`,
    );
    return;
  }
  if (process.stdout.isTTY) return;
  const told = metrics === undefined ? "" : `Metrics are at http://127.0.0.1:${metrics}/metrics\n`;
  const tips = hints.map((hint) => `  ${callable(hint)}\n`).join("");
  process.stdout.write(
    `The host is up (pid ${process.pid}).\nxenstored listens at ${where.xenstored}\n${told}Try:\n${tips}`,
  );
}

/** How dom0 can shut down. */
const HOW: { readonly [code: number]: string } = {
  [ShutdownCode.reboot]: " to reboot",
  [ShutdownCode.crash]: ": it crashed",
  [ShutdownCode.watchdog]: ": nobody has fed its watchdog",
};

/**
 * Runs a host until somebody stops it: a key, a signal, `down`. Returns the exit
 * code; throws Problem where it does not come up or stops by itself.
 */
export async function runInForeground(options: ForegroundOptions): Promise<number> {
  const { where, config, trace, json } = options;
  const isScreen = process.stdout.isTTY;
  let end: (problem: Problem | null) => void = () => {};
  const ended = new Promise<Problem | null>((resolve) => void (end = resolve));
  let onlooker: Onlooker | null = null;
  const warn = (text: string): void => {
    if (onlooker === null) process.stderr.write(`xenolith: ${text}\n`);
    else onlooker.warn(text);
  };
  void untilSignal().then(() => end(null));
  const host = await LiveHost.start({
    ...{ where, config, trace, warn, code: version(), crashed: end },
    ...options.daemons,
  });
  const watch = (): Onlooker =>
    watchHost({ host, version: version(), hints: options.hints.map(callable), quit: () => end(null) });
  let metrics: { readonly port: number; readonly close: () => void } | null = null;
  try {
    // A screen shows what is prepared; lines begin with where the host is.
    if (isScreen && !json) onlooker = watch();
    await Promise.race([options.prepare?.(host), ended]);
    const down = async (): Promise<void> => {
      end(null);
      await host.stop();
    };
    await host.serve(verbsOf(host, down));
    if (options.metrics !== undefined) metrics = await serveHostMetrics(host, options.metrics);
    announce(options, metrics?.port);
    host.recorder.listenTo("machine", ({ halted }) => {
      warn(`dom0 has shut down${HOW[halted] ?? ""}, and the machine with it`);
      setImmediate(() => end(null));
    });
    if (!json) onlooker ??= watch();
    const problem = await ended;
    if (problem !== null) throw problem;
    return 0;
  } finally {
    metrics?.close();
    onlooker?.close();
    await host.stop();
    if (isScreen && !json) process.stdout.write(`The host in ${where.dir} has stopped.\n`);
  }
}
