// SPDX-License-Identifier: Apache-2.0
//
// What a command of `xenolith` is: one table entry makes its parsing, its help
// and the shell completion.

import { parseArgs } from "node:util";

/** One option: `--name VALUE` where `value` names the value, else a switch. */
export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What the value is called in help; absent for a switch. */
  readonly value?: string;
  readonly help: string;
}

/** What a command is run with. */
export interface Invocation {
  /** Values of options that take one, by name. */
  readonly values: { readonly [name: string]: string | undefined };
  /** Switches that were given. */
  readonly switches: ReadonlySet<string>;
  /** Words that are no options. */
  readonly words: readonly string[];
  /** Whether machine-readable output was asked for. */
  readonly json: boolean;
}

/** A command: `run` returns the exit code, 0 ok, 1 the thing asked about is bad, 2 usage. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line. */
  readonly operands: string;
  /** Anything more that help should say, in whole sentences. */
  readonly details?: string;
  readonly examples: readonly string[];
  readonly options: readonly Option[];
  /** Words go to `run` untouched, options among them: the command has its own grammar. */
  readonly raw?: boolean;
  /** The least and the most words it takes. */
  readonly words?: readonly [least: number, most: number];
  readonly run: (invocation: Invocation) => Promise<number>;
}

const COMMON: readonly Option[] = [
  { name: "json", help: "print JSON instead of text" },
  { name: "help", short: "h", help: "print this help" },
];

/** Option that says which host is meant. */
export const DIR_OPTION: Option = {
  name: "dir",
  value: "DIR",
  help: "the host's state directory (default: $XENOLITH_DIR, or one private to you)",
};

/** A command's help, as `--help` prints it. */
export function helpText(command: Command): string {
  const options = command.raw === true ? [...command.options] : [...command.options, ...COMMON];
  const rows = options.map(({ name, short, value, help }) => {
    const left = `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
    return `  ${left.padEnd(30)} ${help}`;
  });
  return [
    `Usage: xenolith ${command.name} ${command.operands}`.trimEnd(),
    "",
    command.summary,
    ...(command.details === undefined ? [] : ["", command.details]),
    ...(rows.length === 0 ? [] : ["", "Options:", ...rows]),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

/** Runs a command with the words behind its name. Usage errors are printed, with what to do next. */
export async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  if (command.raw === true) {
    const { own, rest } = splitRaw(command, args);
    if (own === null) return print(helpText(command));
    return command.run({ ...own, words: rest, json: false });
  }
  const parsed = parse(command, args);
  if (typeof parsed === "string") return usageError(command, parsed);
  if (parsed.switches.has("help")) return print(helpText(command));
  const [least, most] = command.words ?? [0, 0];
  if (parsed.words.length < least) return usageError(command, `${command.name} needs ${command.operands}`);
  if (parsed.words.length > most) return usageError(command, `too many words: ${parsed.words.slice(most).join(" ")}`);
  return command.run(parsed);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** Says what is wrong with a command line, and where help is. Exit code 2. */
export function usageError(command: Pick<Command, "name">, problem: string): number {
  process.stderr.write(`xenolith ${command.name}: ${problem}\nTry: xenolith ${command.name} --help\n`);
  return 2;
}

function parse(command: Command, args: readonly string[]): Invocation | string {
  const options = [...command.options, ...COMMON];
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: Object.fromEntries(
        options.map(({ name, short, value }) => [
          name,
          { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short === undefined ? {} : { short }) },
        ]),
      ),
    });
    const entries = Object.entries(values);
    return {
      values: Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
      switches: new Set(entries.filter(([, value]) => value === true).map(([name]) => name)),
      words: positionals,
      json: values["json"] === true,
    };
  } catch (error) {
    return (error as Error).message;
  }
}

/** A raw command's own options stand before the first other word; a `--` ends them. */
function splitRaw(command: Command, args: readonly string[]): { own: Omit<Invocation, "words" | "json"> | null; rest: string[] } {
  const values: { [name: string]: string } = {};
  const switches = new Set<string>();
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at] as string;
    if (word === "--") {
      at++;
      break;
    }
    if (at === 0 && (word === "--help" || word === "-h")) return { own: null, rest: [] };
    const option = command.options.find(({ name }) => word === `--${name}` || word.startsWith(`--${name}=`));
    if (option === undefined) break;
    if (option.value === undefined) switches.add(option.name);
    else values[option.name] = word.includes("=") ? word.slice(word.indexOf("=") + 1) : (args[++at] ?? "");
  }
  return { own: { values, switches }, rest: args.slice(at) };
}
