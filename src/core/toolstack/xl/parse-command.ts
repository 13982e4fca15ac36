// SPDX-License-Identifier: Apache-2.0
//
// From an xl command line to a command, or to xl's refusal of it (tools/xl/xl.c
// main, xl_utils.c def_getopt). What depends on the host, domains' names above
// all, is left to the routine that carries the command out.

import type { Arguments, Refusal } from "./arguments.ts";
import { commandBuilders } from "./build-command.ts";
import type { GlobalOptions, ParsedCommandLine, XlCommand } from "./command.ts";
import type { VerbEntry } from "./command-table.ts";
import { getoptStep, type FoundOption } from "./getopt.ts";
import { help, lookupVerb } from "./help.ts";
import { verbOptions, type VerbOption } from "./options.ts";

const exit = (
  code: number,
  stdout: string,
  stderr: string,
  domainFirst: string | null = null,
): ParsedCommandLine => ({ kind: "exit", code, stdout, stderr, domainFirst });

/** Understands what follows `xl` on a command line. */
export function parseCommandLine(argv: readonly string[]): ParsedCommandLine {
  const globals = parseGlobalOptions(argv);
  if (globals.kind === "refused") return exit(1, "", globals.stderr);
  const { global } = globals;
  const word = argv[globals.next];
  if (word === undefined) return exit(1, help(null), "");
  const rest = argv.slice(globals.next + 1);
  const entry = lookupVerb(word);
  if (entry !== undefined) {
    if (global.dryRun && !entry.flags.includes("d")) {
      return exit(1, "", "command does not implement -N (dryrun) option\n");
    }
    return parseVerb(entry, rest, global);
  }
  if (word === "help") return exit(0, help(rest[0] ?? null), "");
  return exit(1, "", "command not implemented\n");
}

function parseGlobalOptions(
  argv: readonly string[],
): { kind: "ok"; global: GlobalOptions; next: number } | { kind: "refused"; stderr: string } {
  const global: GlobalOptions = {
    verbose: 0,
    force: false,
    dryRun: false,
    progressCr: false,
    timestamps: false,
  };
  let next = 0;
  for (; next < argv.length; next++) {
    const word = argv[next] as string;
    if (word === "--") return { kind: "ok", global, next: next + 1 };
    if (!word.startsWith("-") || word === "-") break;
    for (const letter of word.slice(1)) {
      if (letter === "v") global.verbose += 1;
      else if (letter === "N") global.dryRun = true;
      else if (letter === "f") global.force = true;
      else if (letter === "t") global.progressCr = true;
      else if (letter === "T") global.timestamps = true;
      else return { kind: "refused", stderr: `xl: invalid option -- '${letter}'\nunknown global option\n` };
    }
  }
  return { kind: "ok", global, next };
}

/** Verbs that print something before they look at their options. */
const preludes: Readonly<Record<string, string>> = {
  "button-press": 'WARNING: "button-press" is deprecated. Please use "trigger"\n',
  "config-update":
    "WARNING: xl now has better capability to manage domain configuration, " +
    "avoid using this command when possible\n",
};

/** Verbs that do not read options at all. */
const withoutOptions: readonly string[] = ["getenforce", "setenforce", "loadpolicy"];

function parseVerb(entry: VerbEntry, argv: readonly string[], global: GlobalOptions): ParsedCommandLine {
  const { verb } = entry;
  if (verb === "config-update" && argv.length === 0) {
    return exit(1, help(verb), "xl config-update requires a domain argument\n");
  }
  const prelude = preludes[verb] ?? "";
  const leading = leadingArguments(verb, argv);
  const collected = withoutOptions.includes(verb)
    ? { options: [], args: [...argv] }
    : collectOptions(entry, argv.slice(leading.length));
  // config-update's first word is its domain, and looked up before anything else.
  const firstDomain = verb === "config-update" ? (leading[0] ?? null) : null;
  if ("kind" in collected)
    return exit(collected.code, collected.stdout, prelude + collected.stderr, firstDomain);
  const build: (given: Arguments) => object | { refused: Refusal } = commandBuilders[verb];
  const built = build(new GivenArguments(collected.options, leading, collected.args));
  if ("refused" in built) {
    const { code, stdout, stderr, domainFirst } = built.refused;
    return exit(code, stdout, prelude + stderr, domainFirst ? (collected.args[0] ?? null) : firstDomain);
  }
  const dryRun =
    global.dryRun || collected.options.some(({ key }) => key === "n" && dryRunVerbs.includes(verb));
  const command = { verb, ...built } as XlCommand;
  return { kind: "command", global: { ...global, dryRun }, command, stderr: prelude };
}

/** Verbs whose own -n is the global -N. */
const dryRunVerbs: readonly string[] = ["create", "cpupool-create"];

/** A configuration file named first, and config-update's domain, stand before the options. */
function leadingArguments(verb: string, argv: readonly string[]): string[] {
  const isFile = (word: string | undefined): word is string =>
    word !== undefined && !word.startsWith("-") && !word.includes("=");
  const first = verb === "config-update" ? argv.slice(0, 1) : [];
  const file = argv[first.length];
  return (verb === "config-update" || verb === "create") && isFile(file) ? [...first, file] : first;
}

const helpOption: VerbOption = { letter: "h", names: ["help"], help: [] };

/** Reads a verb's options in order, up to the first that ends xl. */
function collectOptions(
  { verb, required }: VerbEntry,
  argv: readonly string[],
): { options: FoundOption[]; args: string[] } | (Refusal & { kind: "exit" }) {
  // config-update calls itself by a name that has no help.
  const helpName = verb === "config-update" ? "config_update" : verb;
  const known = [...(verbOptions[verb] ?? []).filter(({ letter }) => letter !== "h"), helpOption];
  const options: FoundOption[] = [];
  let index = 0;
  let cluster = 0;
  for (;;) {
    const step = getoptStep(argv, index, cluster, known);
    if (step.kind === "end") {
      index = step.next;
      break;
    }
    if (step.kind === "error") {
      const stderr = `option \`${step.letter}' not supported.\n`;
      return { kind: "exit", code: 2, stdout: "", stderr };
    }
    if (step.option.key === "h") return { kind: "exit", code: 0, stdout: help(helpName), stderr: "" };
    const refused = refuseOption(verb, step.option);
    if (refused !== null) return { kind: "exit", ...refused };
    options.push(step.option);
    ({ next: index, cluster } = step);
  }
  const args = argv.slice(index);
  if (args.length >= required) return { options, args };
  const stderr = `'xl ${verb}' requires at least ${required} argument${required > 1 ? "s" : ""}.\n\n`;
  return { kind: "exit", code: 2, stdout: help(helpName), stderr };
}

/** Arguments of options that xl checks on the spot. */
function refuseOption(verb: string, { key, argument }: FoundOption): Refusal | null {
  if (verb === "console" && key === "t" && !["pv", "serial", "vuart"].includes(argument ?? "")) {
    return { code: 1, stdout: "", stderr: "console type supported are: pv, serial, vuart\n" };
  }
  if (verb === "sched-rtds" && key === "e" && argument !== "0" && argument !== "1") {
    return { code: 1, stdout: "", stderr: "Invalid extratime.\n" };
  }
  return null;
}

/** What a verb's command line gave, for the builders. */
class GivenArguments implements Arguments {
  readonly leading: readonly string[];
  readonly args: readonly string[];
  readonly #options: readonly FoundOption[];

  constructor(options: readonly FoundOption[], leading: readonly string[], args: readonly string[]) {
    this.#options = options;
    this.leading = leading;
    this.args = args;
  }

  has(key: string): boolean {
    return this.count(key) > 0;
  }

  count(key: string): number {
    return this.#options.filter((option) => option.key === key).length;
  }

  last(key: string): string | null {
    return this.all(key).at(-1) ?? null;
  }

  all(key: string): string[] {
    return this.#options.filter((option) => option.key === key).map((option) => option.argument ?? "");
  }

  arg(index: number): string {
    return this.args[index] ?? "";
  }

  optional(index: number): string | null {
    return this.args[index] ?? null;
  }
}
