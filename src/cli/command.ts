// SPDX-License-Identifier: Apache-2.0
//
// What a command of `xenolith` is: one table entry makes its parsing, its help,
// the shell completion and the reference page.

import { parseArgs } from "node:util";
import { Problem } from "../live/problem.ts";
import { callable } from "./self.ts";

/** One option: `--name VALUE` where `value` names the value, else a switch. */
export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What the value is called in help; absent for a switch. */
  readonly value?: string;
  /** The values there are, where they can be listed: checked, and completed. */
  readonly among?: readonly string[];
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
  /** What its first word can be, where that can be listed: for completion. */
  readonly verbs?: readonly string[];
  /** Throws `Problem` for what the user must hear. */
  readonly run: (invocation: Invocation) => Promise<number>;
}

const JSON_OPTION: Option = { name: "json", help: "print JSON instead of text" };
const HELP_OPTION: Option = { name: "help", short: "h", help: "print this help" };

/** Option that says which host is meant. */
export const DIR_OPTION: Option = {
  name: "dir",
  value: "DIR",
  help: "the host's state directory (default: $XENOLITH_DIR, or one private to you)",
};

/** Every option of a command, the common ones included. */
export function optionsOf(command: Command): readonly Option[] {
  return command.raw === true
    ? [...command.options, HELP_OPTION]
    : [...command.options, JSON_OPTION, HELP_OPTION];
}

/** The line that shows how a command is called. */
export function usageLine(command: Command): string {
  return `xenolith ${command.name} ${command.operands}`.trimEnd();
}

/** An option as help shows it: `-f, --full NAME`. */
export function optionText({ name, short, value }: Option): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Columns of help: what stands beside other windows. */
const HELP_COLUMNS = 100;
/** Where what options mean begins. */
const MEANING_COLUMN = 33;

/** Words on lines that are short enough, those after the first below its beginning. */
function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) as string;
    if (line === "") lines[lines.length - 1] = word;
    else if (MEANING_COLUMN + line.length + 1 + word.length > HELP_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.join(`\n${" ".repeat(MEANING_COLUMN)}`);
}

/** A command's help, as `--help` prints it. */
export function helpText(command: Command): string {
  const rows = optionsOf(command).map((option) => {
    const left = `${option.short === undefined ? "    " : ""}${optionText(option)}`;
    return `  ${left.padEnd(MEANING_COLUMN - 3)} ${wrapped(option.help)}`;
  });
  return [
    `Usage: ${usageLine(command)}`,
    "",
    command.summary,
    ...(command.details === undefined ? [] : ["", command.details]),
    "",
    "Options:",
    ...rows,
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

/** Runs a command with the words behind its name. What is wrong is printed, with what to do next. */
export async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  let json = command.raw !== true && args.includes("--json");
  try {
    const invocation = command.raw === true ? splitRaw(command, args) : parse(command, args);
    json = invocation.json;
    if (invocation.switches.has("help")) {
      process.stdout.write(callable(helpText(command)));
      return 0;
    }
    checkWords(command, invocation.words);
    return await command.run(invocation);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return report(command, error, json);
  }
}

function checkWords(command: Command, words: readonly string[]): void {
  const [least, most] = command.words ?? [0, command.raw === true ? Infinity : 0];
  if (words.length < least) throw new Problem(`needs ${command.operands}`, null, 2);
  if (words.length > most) throw new Problem(`too many words: ${words.slice(most).join(" ")}`, null, 2);
}

function report({ name }: Command, problem: Problem, json: boolean): number {
  const words = problem.next ?? (problem.code === 2 ? `xenolith ${name} --help` : null);
  const next = words === null ? null : callable(words);
  if (json) process.stdout.write(`${JSON.stringify({ error: problem.message, next })}\n`);
  else {
    process.stderr.write(`xenolith ${name}: ${problem.message}\n`);
    if (next !== null) process.stderr.write(`Try: ${next}\n`);
  }
  return problem.code;
}

/** An empty value is a variable of somebody's script that was not set. */
function checkValues(options: readonly Option[], values: Invocation["values"]): void {
  for (const { name, value: what, among } of options) {
    const value = values[name];
    if (value === "") throw new Problem(`--${name} needs ${what}, and was given nothing`, null, 2);
    if (value === undefined || among === undefined || among.includes(value)) continue;
    throw new Problem(`--${name} is one of ${among.join(", ")}, not ${value}`, null, 2);
  }
}

function parse(command: Command, args: readonly string[]): Invocation {
  const options = optionsOf(command);
  const config = options.map(({ name, short, value }) => [
    name,
    {
      type: value === undefined ? ("boolean" as const) : ("string" as const),
      ...(short === undefined ? {} : { short }),
    },
  ]);
  let parsed: { values: object; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], allowPositionals: true, options: Object.fromEntries(config) });
  } catch (error) {
    throw new Problem(parseWords((error as Error).message), null, 2);
  }
  const entries = Object.entries(parsed.values);
  const values = Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
  checkValues(options, values);
  const switches = new Set(entries.filter(([, value]) => value === true).map(([name]) => name));
  return { values, switches, words: parsed.positionals, json: switches.has("json") };
}

/** The first sentence of what Node says of a command line: its advice about `--` helps nobody here. */
function parseWords(message: string): string {
  const [sentence = ""] = message.split(/\. |\n/);
  const dash = /^Option '(?:-\w, )?--([\w-]+).* argument is ambiguous/.exec(sentence)?.[1];
  if (dash !== undefined)
    return `--${dash} needs a value; one that begins with a dash is written --${dash}=VALUE`;
  const bare = /^Option '(?:-\w, )?--([\w-]+) <value>' argument missing/.exec(sentence)?.[1];
  if (bare !== undefined) return `--${bare} needs a value`;
  return sentence.replace(/^Unknown option/, "no such option:");
}

/** A raw command's own options stand before the first other word; a `--` ends them. */
function splitRaw(command: Command, args: readonly string[]): Invocation {
  const values: { [name: string]: string } = {};
  const switches = new Set<string>();
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at] as string;
    if (word === "--") {
      at++;
      break;
    }
    const option = optionsOf(command).find(
      ({ name, short }) =>
        word === `--${name}` || word.startsWith(`--${name}=`) || (at === 0 && word === `-${short}`),
    );
    if (option === undefined) break;
    if (option.value === undefined) switches.add(option.name);
    else if (word.includes("=")) values[option.name] = word.slice(word.indexOf("=") + 1);
    else {
      const value = args[++at];
      if (value === undefined) throw new Problem(`--${option.name} needs ${option.value}`, null, 2);
      values[option.name] = value;
    }
  }
  checkValues(command.options, values);
  return { values, switches, words: args.slice(at), json: false };
}

/**
 * A whole number given as an option.
 *
 * @param fallback where the option was not given
 */
export function numberOf(invocation: Invocation, name: string, fallback: number, least = 0): number {
  const text = invocation.values[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new Problem(`--${name} takes a whole number of at least ${least}, not ${text}`, null, 2);
  }
  return value;
}

/** Prints a result as JSON, on one line. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
