// SPDX-License-Identifier: Apache-2.0
//
// CONTROL: what xenstore-control asks for (xenstored_control.c; control.c since 4.20).

import { fail, type Failure, isFailure } from "../engine/errno.ts";
import { memoryReport } from "./accounting.ts";
import { checkStore } from "./check.ts";
import { quota, quotaSoft } from "./control-quota.ts";
import type { Store } from "./ports.ts";
import { traitsOf } from "./quota.ts";
import { type After, OK, type Request, strings } from "./request.ts";

/** One command of CONTROL. */
interface Command {
  readonly name: string;
  /** What help says of its parameters. */
  readonly parameters: (store: Store) => string;
  readonly run: (store: Store, args: readonly string[], request: Request, after: After) => string | Failure;
  /** Whether this xenstored has it; by default it does. */
  readonly isThere?: (store: Store) => boolean;
}

const commands: readonly Command[] = [
  { name: "check", parameters: () => "", run: check },
  {
    name: "log",
    parameters: (store) => (isOld(store) ? "on|off" : "[on|off|+<switch>|-<switch>]"),
    run: log,
  },
  {
    name: "live-update",
    parameters: (store) =>
      isOld(store)
        ? "[-c <cmdline>] [-F] [-t <timeout>] <file>\n    Default timeout is 60 seconds."
        : "[-c <cmdline>] [-F] [-t <timeout>] [-v <version>] <file>\n" +
          "    Default timeout is 60 seconds, default version is 2.",
    run: liveUpdate,
    isThere: (store) => store.liveUpdate !== undefined,
  },
  { name: "logfile", parameters: () => "<file>", run: logfile },
  { name: "memreport", parameters: () => "[<file>]", run: memreport },
  { name: "print", parameters: () => "<string>", run: print },
  {
    name: "quota",
    parameters: (store) =>
      isOld(store) ? "[set <name> <val>|<domid>]" : "[set <name> <val>|<domid>|max [-r]]",
    run: quota,
  },
  { name: "quota-soft", parameters: () => "[set <name> <val>]", run: quotaSoft },
  { name: "help", parameters: () => "", run: help },
];

function isOld(store: Store): boolean {
  return traitsOf(store.cells).control === "4.17";
}

/** CONTROL. EINVAL for an unknown command or wrong arguments. */
export function control(store: Store, request: Request, after: After): string | Failure {
  const [name, ...args] = strings(request);
  const command = commands.find((known) => known.name === name);
  if (command === undefined || command.isThere?.(store) === false) return fail("EINVAL");
  return command.run(store, args, request, after);
}

/** The steps of a live update; see liveUpdateStep. The last is answered by the successor, or when there is none. */
function liveUpdate(
  store: Store,
  args: readonly string[],
  { caller, reqId, txId }: Request,
  after: After,
): string | Failure {
  const answer = store.liveUpdate?.({ conn: caller.conn, reqId, txId, args }) ?? fail("EINVAL");
  if (answer !== "later") return isFailure(answer) ? answer : `${answer}\0`;
  after.later = true;
  return OK;
}

/** All of the store is looked at; what is wrong is logged. */
function check(store: Store, args: readonly string[]): string | Failure {
  if (args.length > 0) return fail("EINVAL");
  for (const problem of checkStore(store.cells)) store.log?.(`check_store: ${problem}`);
  return OK;
}

function log(store: Store, args: readonly string[]): string | Failure {
  const [what] = args;
  const { traceFile } = store;
  if (what === undefined) {
    if (isOld(store)) return fail("EINVAL");
    const lines = TRACE_SWITCHES.map(
      (name) =>
        `${name.padEnd(8)}: ${(traceFile?.isOn(name) ?? DEFAULT_SWITCHES.has(name)) ? "on" : "off"}\n`,
    );
    return `Log switch settings:\n${lines.join("")}\0`;
  }
  if (args.length > 1) return fail("EINVAL");
  if (what === "on") traceFile?.open();
  else if (what === "off") traceFile?.close();
  else return isOld(store) ? fail("EINVAL") : setSwitch(store, what);
  return OK;
}

/** What can be traced, one by one since 4.20 (trace_switches in core.c). */
const TRACE_SWITCHES = ["obj", "io", "wrl", "acc", "tdb"];
/** What is from the start. */
const DEFAULT_SWITCHES: ReadonlySet<string> = new Set(["obj", "io"]);

function setSwitch(store: Store, what: string): string | Failure {
  const name = what.slice(1);
  const sign = what.charAt(0);
  if ((sign !== "+" && sign !== "-") || !TRACE_SWITCHES.includes(name)) return fail("EINVAL");
  store.traceFile?.turn(name, sign === "+");
  return OK;
}

/** EINVAL where this xenstored has no files to write to. */
function logfile(store: Store, args: readonly string[]): string | Failure {
  const [path] = args;
  if (path === undefined || args.length > 1 || store.traceFile === undefined) return fail("EINVAL");
  store.traceFile.rename(path);
  return OK;
}

/** What xenstored holds goes to a file, or to the trace file. EBADF, on the wire EINVAL, where it cannot be written. */
function memreport(store: Store, args: readonly string[]): string | Failure {
  if (args.length > 1) return fail("EINVAL");
  const written = store.traceFile?.report(args[0] ?? null, memoryReport(store.cells)) ?? false;
  return written ? OK : fail("EBADF");
}

function print(store: Store, args: readonly string[]): string | Failure {
  if (args.length !== 1) return fail("EINVAL");
  store.log?.(`control: ${args[0] as string}`);
  return OK;
}

function help(store: Store, args: readonly string[]): string | Failure {
  if (args.length > 0) return fail("EINVAL");
  const old = isOld(store);
  const there = commands.filter(({ isThere }) => isThere?.(store) !== false);
  const lines = there.map(({ name, parameters }) =>
    old ? `${name}\t${parameters(store)}\n` : `${name.padEnd(15)} ${parameters(store)}\n`,
  );
  return `${lines.join("")}\0`;
}
