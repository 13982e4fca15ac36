// SPDX-License-Identifier: Apache-2.0
//
// xenolith xenstored: only the store, on a socket.

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { ConflictRule, XenstoreVersion } from "../../core/xenstore/store.ts";
import { XENSTORE_VERSIONS } from "../../core/xenstore/version.ts";
import type { WatchLayout } from "../../core/xenstore/stream.ts";
import { shellWord } from "../../live/directory.ts";
import { Problem, systemWords, usage } from "../../live/problem.ts";
import { Daemon, type DaemonOptions } from "../../live/xenstored/daemon.ts";
import type { FsyncPolicy, JournalError } from "../../live/xenstored/journal.ts";
import { LOG_LEVELS, type LogLevel } from "../../live/xenstored/log.ts";
import { SocketError } from "../../live/xenstored/socket-place.ts";
import type { Command, Invocation } from "../command.ts";
import { numberOf, printJson } from "../command.ts";
import { callable } from "../self.ts";
import { untilSignal } from "../signals.ts";

const NEXT: { readonly [code in SocketError["code"]]: string } = {
  SOCKET_PATH_TOO_LONG: "xenolith xenstored --socket /tmp/xenstored.sock",
  SOCKET_IN_USE: "xenolith store ls --socket PATH",
  SOCKET_NOT_A_SOCKET: "xenolith xenstored --socket /tmp/xenstored.sock",
};

function optionsOf(invocation: Invocation, failed: (error: Error) => void): DaemonOptions {
  const { values, switches } = invocation;
  const { socket } = values;
  if (socket === undefined) throw usage("needs --socket PATH");
  if (values["fsync"] !== undefined && values["state"] === undefined)
    throw usage("--fsync says when the journal is on the disk: it needs --state FILE");
  if (values["xen-version"] === "oxenstored" && values["conflicts"] !== undefined)
    throw usage("--conflicts has no meaning with --xen-version oxenstored, which has a rule of its own");
  const metrics = numberOf(invocation, "metrics", -1, 0);
  if (metrics > 65_535) throw usage(`--metrics takes a port, at most 65535, not ${metrics}`);
  return {
    socketPath: socket,
    store: {
      version: values["xen-version"] as XenstoreVersion | undefined,
      conflicts: values["conflicts"] as ConflictRule | undefined,
    },
    pidFile: values["pid-file"] ?? null,
    state: values["state"] ?? null,
    fsync: (values["fsync"] ?? "always") as FsyncPolicy,
    metricsPort: metrics < 0 ? null : metrics,
    logLevel: (values["log-level"] ?? "warn") as LogLevel,
    watchLayout: (values["stream-layout"] ?? "document") as WatchLayout,
    takeOver: switches.has("take-over"),
    domains: values["domains"] ?? null,
    failed,
  };
}

/** What a failed start means, and what to do about it. */
function problemOf(error: unknown, options: DaemonOptions): Problem {
  const { socketPath, pidFile, state, domains, takeOver } = options;
  if (error instanceof Problem) return error;
  if (error instanceof SocketError)
    return new Problem(error.message, NEXT[error.code].replace("PATH", shellWord(socketPath)));
  const { code, message, syscall, path } = error as NodeJS.ErrnoException;
  if (code === "JOURNAL_DAMAGED") {
    const { offset } = error as JournalError;
    const [file, copy] = [shellWord(state as string), shellWord(`${state}.damaged`)];
    return new Problem(message, `cp ${file} ${copy} && truncate --size=${offset} ${file}`);
  }
  if (code?.startsWith("JOURNAL_") === true)
    return new Problem(message, `xenolith xenstored --socket ${shellWord(socketPath)} --state OTHER-FILE`);
  if (takeOver && syscall === undefined)
    return new Problem(message, "without --take-over a new store begins: xenolith xenstored --help");
  const same = `xenolith xenstored --socket ${shellWord(socketPath)}`;
  if (domains !== null && path?.startsWith(domains) === true)
    return new Problem(
      `cannot keep domains in ${domains}: ${systemWords(error)}`,
      `${same} --domains /tmp/domains`,
    );
  if (pidFile !== null && path?.startsWith(pidFile) === true)
    return new Problem(
      `cannot write the pid file ${pidFile}: ${systemWords(error)}`,
      `${same} --pid-file /tmp/pid`,
    );
  // Nothing else is read at the start.
  if (state !== null && (path?.startsWith(state) === true || syscall === "read"))
    return new Problem(
      `cannot use the journal ${state}: ${systemWords(error)}`,
      `${same} --state OTHER-FILE`,
    );
  const folder = dirname(socketPath);
  // libuv tells of a folder that is not there as if nobody might enter it.
  if (!existsSync(folder))
    return new Problem(
      `cannot serve ${socketPath}: there is no folder ${folder}`,
      `mkdir --parents ${shellWord(folder)}`,
    );
  return new Problem(`cannot serve ${socketPath}: ${systemWords(error)}`, NEXT.SOCKET_NOT_A_SOCKET);
}

async function run(invocation: Invocation): Promise<number> {
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => (fail = resolve));
  const options = optionsOf(invocation, (error) => fail(error));
  const { socketPath: socket, takeOver } = options;
  let started: Daemon | null = null;
  // From now on: one that comes while it starts ends it in order, too.
  const signalled = untilSignal(() => started?.reopenTrace());
  const daemon = await Daemon.start(options).catch((error: unknown) => {
    const problem = problemOf(error, options);
    process.send?.({ failed: problem.message });
    throw problem;
  });
  started = daemon;
  const { metricsPort: metrics } = daemon;
  if (takeOver) {
    // Who started the first of them has read its line long ago.
  } else if (invocation.json)
    printJson({ socket, pid: process.pid, ...(metrics === null ? {} : { metrics }) });
  else {
    const where = metrics === null ? "" : `Metrics are at http://127.0.0.1:${metrics}/metrics\n`;
    const next = callable(`Try: xenolith store ls --socket ${shellWord(socket)}`);
    process.stdout.write(`xenstored listens at ${socket}\n${where}${next}\n`);
  }
  const end = await Promise.race([signalled, failed]);
  await daemon.close();
  if (typeof end === "string") return 0;
  throw new Problem(end.message, `df ${options.state ?? socket}`);
}

export const command: Command = {
  name: "xenstored",
  summary: "only the store, on a socket of its own",
  operands: "--socket PATH",
  details:
    "Runs until it is interrupted (Ctrl-C or SIGTERM). SIGHUP opens the trace file anew that CONTROL logfile\n" +
    "has named, as C xenstored's does; on a terminal it ends, too. With --state, what was acknowledged outlasts\n" +
    "any end of the process; without, the store ends with it. See docs/guides/xenstored.md.",
  examples: [
    "xenolith xenstored --socket /tmp/xenstored.sock",
    "XENSTORED_PATH=/tmp/xenstored.sock xenstore-ls -f",
    "xenolith xenstored --socket /run/xenstored/socket --pid-file /run/xenstored/pid --state /run/xenstored/journal",
    "xenolith xenstored --socket /tmp/xenstored.sock --metrics 9116 --log-level info",
  ],
  options: [
    { name: "socket", value: "PATH", help: "where to listen; at most 107 bytes" },
    { name: "pid-file", value: "FILE", help: "writes the number of the process there while it serves" },
    {
      name: "state",
      value: "FILE",
      help: "keeps a journal there, and begins with what it has: survives kill -9",
    },
    {
      name: "fsync",
      value: "WHEN",
      among: ["always", "interval", "never"],
      help: "when the journal is on the disk: `always` before an answer, at an `interval` of a second, or `never` by our doing (default: always)",
    },
    {
      name: "xen-version",
      value: "V",
      among: XENSTORE_VERSIONS,
      help: "whose xenstored it is to be: that in C of 4.17 or 4.23, or oxenstored (default: 4.17)",
    },
    {
      name: "conflicts",
      value: "RULE",
      among: ["observed", "strict"],
      help: "when a transaction conflicts: with what it `observed`, or as in C xenstored `strict`ly with all it touched (default: observed)",
    },
    {
      name: "metrics",
      value: "PORT",
      help: "serves Prometheus at 127.0.0.1:PORT/metrics; 0 for any free port",
    },
    {
      name: "log-level",
      value: "LEVEL",
      among: LOG_LEVELS,
      help: "what is told on standard error; trace tells every message (default: warn)",
    },
    {
      name: "stream-layout",
      value: "LAYOUT",
      among: ["document", "head"],
      help: "where a live update's watches with a depth have it: as documented, or as Xen's HEAD has it (default: document)",
    },
    {
      name: "take-over",
      short: "U",
      help: "takes over from the xenstored that started this one (CONTROL live-update)",
    },
    {
      name: "domains",
      value: "DIR",
      help: "domains are files in DIR, for tests: their states, rings and events (docs/guides/conformance.md)",
    },
  ],
  run,
};
