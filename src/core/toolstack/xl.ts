// SPDX-License-Identifier: Apache-2.0
//
// xl: one process for every command line. It opens a libxl context, understands
// its arguments and carries the verb out (tools/xl/xl.c, main).

import { cellType } from "../engine/cells.ts";
import { assert } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { writeFileText } from "../daemons/files.ts";
import { exitProcess, spawnProcess, stderr, stdout } from "../daemons/process.ts";
import { closeContext, openContext } from "./libxl-ctx.ts";
import { findDomain } from "./name.ts";
import { verbRoutines } from "./verbs/all.ts";
import { parseCommandLine } from "./xl/parse-command.ts";
import type { ParsedCommandLine } from "./xl/command.ts";

/**
 * How many xl processes a shell has started, by the shell's name: theirs are
 * numbered. `by` is the thread that types there, empty for somebody outside.
 */
const xlCountCell = cellType<{ last: number; by: string }>("xl-count");

/** The name of a shell's next process. Two shells' names do not depend on who was first. */
function nextName(host: Host, shell: string): string {
  const by = host.current;
  if (host.get(xlCountCell, shell) === undefined) host.add(xlCountCell, shell, { last: 0, by });
  const count = host.edit(xlCountCell, shell);
  assert(
    count.by === by,
    `"${by}" and "${count.by}" type at one shell: whose xl is first would be in their names`,
  );
  return `dom0/${shell === "" ? "" : `${shell}/`}xl.${++count.last}`;
}

/** A command line without a command to carry out. */
type AtOnce = Extract<ParsedCommandLine, { kind: "exit" }>;

/** A command line that ends at once: what it prints, unless it names a domain first that there is not. */
const refuse = routine(
  "help",
  (a: { process: string; parsed: AtOnce }) => ({ ...a }),
  ({ when, call, step }) => [
    when("looks for a domain first", (l) => l.parsed.domainFirst !== null, [
      call("find_domain", findDomain, ({ process, parsed }) => ({
        process,
        domain: parsed.domainFirst as string,
      })),
    ]),
    step("print", (host, { process, parsed }) => {
      if (parsed.stdout !== "") stdout(host, process, parsed.stdout);
      if (parsed.stderr !== "") stderr(host, process, parsed.stderr);
    }),
  ],
);

const main = routine(
  "xl",
  (a: { process: string; argv: readonly string[] }) => ({
    process: a.process,
    parsed: parseCommandLine(a.argv),
    verb: "",
    status: 1,
  }),
  ({ step, attempt, when, call, callNamed }) => [
    attempt([
      step("libxl_ctx_alloc", (host, l) => {
        const refused = openContext(host, l.process);
        if (refused !== undefined) {
          stderr(host, l.process, "cannot init xl context\n");
          return refused;
        }
        const { parsed } = l;
        if (parsed.kind === "exit") return;
        if (parsed.stderr !== "") stderr(host, l.process, parsed.stderr);
        l.verb = verbRoutines[parsed.command.verb]?.name ?? "";
        if (l.verb === "") stderr(host, l.process, `xl ${parsed.command.verb}: not modelled\n`);
        return;
      }),
      when("ends at once", (l) => l.parsed.kind === "exit", [
        call(
          "help",
          refuse,
          ({ process, parsed }) => ({ process, parsed: parsed as AtOnce }),
          (l) => {
            l.status = (l.parsed as AtOnce).code;
          },
        ),
      ]),
      when("carry out", (l) => l.verb !== "", [
        callNamed(
          "main",
          (l) => l.verb,
          ({ process, parsed }) =>
            parsed.kind === "exit" ? {} : { process, command: parsed.command, global: parsed.global },
          (l, status) => void (l.status = status as number),
        ),
      ]),
    ]).onError((l) => void (l.status = 1), []),
    step("exit", (host, l) => {
      closeContext(host, l.process);
      exitProcess(host, l.process, l.status);
    }),
  ],
);

/** How an xl process is started. */
export interface XlOptions {
  /** Whether somebody waits for its exit status with `reap`. */
  awaited?: boolean;
  /** Files of dom0 to be written first, by absolute path. */
  files?: { readonly [path: string]: string };
  /** Where it is typed. Threads that run commands beside each other need shells of their own. */
  shell?: string;
}

/**
 * Starts `xl` with those arguments (without the word `xl` itself). What it
 * prints and its exit status come as events; its process is what is returned.
 */
export function spawnXl(
  host: Host,
  argv: readonly string[],
  { awaited = false, files = {}, shell = "" }: XlOptions = {},
): string {
  for (const [path, text] of Object.entries(files)) writeFileText(host, path, text);
  return spawnProcess(host, nextName(host, shell), ["xl", ...argv], main, { argv }, { awaited });
}
