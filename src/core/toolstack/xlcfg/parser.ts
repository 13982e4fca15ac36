// SPDX-License-Identifier: Apache-2.0
//
// The parser of xl configuration files (tools/libs/util/libxlu_cfg_y.y,
// libxlu_cfg.c), with xl's own error messages and its recovery from errors.

import { createLexer, nextToken, type Lexer, type Token, type TokenKind } from "./lexer.ts";
import type { Assignment, ConfigList, ConfigSyntax, ConfigValue, Position } from "./syntax.ts";

/** What a name has in the end: the last assignment, with what `+=` added it to. */
export interface Setting {
  value: ConfigValue;
  /** "+=" when the last assignment was one: numbers refuse it. */
  operator: "=" | "+=";
  line: number;
}

/** A configuration to look names up in. */
export interface Config {
  source: string;
  settings: Map<string, Setting>;
}

export type ParsedConfig =
  | { ok: true; config: Config; syntax: ConfigSyntax }
  | {
      ok: false;
      /** xl's words, lines ended by newlines. */
      stderr: string;
      /** One line of ours: file, line, column and what was expected there. */
      hint: string;
    };

interface Parser {
  source: string;
  lexer: Lexer;
  /** The next token, once it was looked at. */
  ahead: Token | undefined;
  /** Text and end line of the last token read: what messages quote. */
  last: { raw: string; lineAfter: number };
  /** Bison's yyerrstatus: above 0 further syntax errors are not reported. */
  errorStatus: number;
  /** The line of the last lexical error: syntax errors up to it are not reported. */
  lexicalErrorLine: number;
  failed: boolean;
  likelyPython: boolean;
  stderr: string;
  hint: string;
  assignments: Assignment[];
  settings: Map<string, Setting>;
}

/** The file cannot go on: bison's YYABORT. */
const abort = Symbol("abort");
/** A syntax error was reported; skip to the end of the line. */
const recover = Symbol("recover");
type Interrupted = typeof abort | typeof recover;

/** Parses an xl configuration. `source` is what messages call the text, usually the file's name. */
export function parseConfig(source: string, text: string): ParsedConfig {
  const parser = createParser(source, text);
  parseFile(parser);
  if (!parser.failed) {
    const config = { source, settings: parser.settings };
    return { ok: true, config, syntax: { source, assignments: parser.assignments } };
  }
  const python = parser.likelyPython ? pythonWarning : "";
  return { ok: false, stderr: parser.stderr + python, hint: parser.hint };
}

const pythonWarning =
  "warning: Config file looks like it contains Python code.\n" +
  "warning:  Arbitrary Python is no longer supported.\n" +
  "warning:  See https://wiki.xen.org/wiki/PythonInXlConfig\n";

function createParser(source: string, text: string): Parser {
  const parser: Parser = {
    source,
    lexer: createLexer(text, {
      lexicalError: (message, near, lineAfter, position, expected) => {
        parser.last = { raw: near, lineAfter };
        reportError(parser, message, lineAfter);
        parser.lexicalErrorLine = lineAfter;
        addHint(parser, position, `expected ${expected}`);
      },
      failed: () => parser.failed,
      likelyPython: () => {
        parser.likelyPython = true;
      },
    }),
    ahead: undefined,
    last: { raw: "", lineAfter: 1 },
    errorStatus: 0,
    lexicalErrorLine: -1,
    failed: false,
    likelyPython: false,
    stderr: "",
    hint: "",
    assignments: [],
    settings: new Map(),
  };
  return parser;
}

/** xlu__cfg_yyerror: one message about the text last read. */
function reportError(parser: Parser, message: string, line: number): void {
  if (line <= parser.lexicalErrorLine) return;
  let near = parser.last.raw;
  let newline = "";
  let shownLine = line;
  if (near.endsWith("\n")) {
    near = near.slice(0, -1);
    shownLine -= 1;
    if (near === "") newline = "<newline>";
  }
  near = near.replace(/[\t ]+$/, "");
  // At the end of the file flex has a NUL there, which C prints as nothing, between quotes.
  const quoted = near === "" ? "" : `\`${near.replace(/\0.*/s, "")}'`;
  parser.stderr += `${parser.source}:${shownLine}: config parsing error near ${quoted}${newline}: ${message}\n`;
  parser.failed = true;
}

/** Our own line, for the first error only: the rest usually follow from it. */
function addHint(parser: Parser, position: Position, what: string): void {
  if (parser.hint === "") parser.hint = `${parser.source}:${position.line}:${position.column}: ${what}\n`;
}

function peek(parser: Parser): Token {
  if (parser.ahead === undefined) {
    parser.ahead = nextToken(parser.lexer);
    parser.last = { raw: parser.ahead.raw, lineAfter: parser.ahead.lineAfter };
  }
  return parser.ahead;
}

function shift(parser: Parser): Token {
  const token = peek(parser);
  parser.ahead = undefined;
  if (parser.errorStatus > 0) parser.errorStatus -= 1;
  return token;
}

const shownKinds: Partial<Record<TokenKind, string>> = {
  "=": "'='",
  ";": "';'",
  "[": "'['",
  "]": "']'",
  ",": "','",
};
const readableKinds: Partial<Record<TokenKind, string>> = {
  $end: "the end of the file",
  IDENT: "a name",
  STRING: "a quoted string",
  NUMBER: "a number",
  NEWLINE: "the end of the line",
};

/** Reports the token ahead as unexpected, as bison's verbose errors do. */
function syntaxError(parser: Parser, expected: readonly TokenKind[]): Interrupted {
  const token = peek(parser);
  if (parser.errorStatus === 0) {
    const shown = (kind: TokenKind): string => shownKinds[kind] ?? kind;
    const message = `syntax error, unexpected ${shown(token.kind)}, expecting ${expected.map(shown).join(" or ")}`;
    // The scanner gives the line of the token; at the end of the file it leaves that of the last one.
    reportError(parser, message, token.kind === "$end" ? parser.lexer.tokenLine : token.position.line);
    const readable = (kind: TokenKind): string => readableKinds[kind] ?? `"${kind}"`;
    addHint(
      parser,
      token.position,
      `expected ${expected.map(readable).join(" or ")}, found ${readable(token.kind)}`,
    );
  }
  parser.failed = true;
  return recover;
}

/** Skips to the end of the line after an error, as the rule `error NEWLINE` does. */
function skipLine(parser: Parser): Interrupted | undefined {
  if (parser.errorStatus === 3) {
    if (peek(parser).kind === "$end") return abort;
    parser.ahead = undefined;
  }
  parser.errorStatus = 3;
  while (peek(parser).kind !== "NEWLINE") {
    if (peek(parser).kind === "$end") return abort;
    parser.ahead = undefined;
  }
  shift(parser);
  return undefined;
}

function parseFile(parser: Parser): void {
  for (;;) {
    const interrupted = parseStatement(parser);
    if (interrupted === "end" || interrupted === abort) return;
    if (interrupted === recover && skipLine(parser) === abort) return;
  }
}

function parseStatement(parser: Parser): Interrupted | "end" | undefined {
  switch (peek(parser).kind) {
    case "$end":
      return "end";
    case "NEWLINE":
    case ";":
      shift(parser);
      return undefined;
    case "IDENT":
      return parseAssignment(parser);
    default:
      return syntaxError(parser, ["$end", "IDENT", "NEWLINE", ";"]);
  }
}

function parseAssignment(parser: Parser): Interrupted | "end" | undefined {
  const name = shift(parser);
  const operator = peek(parser).kind;
  if (operator !== "=" && operator !== "+=") return syntaxError(parser, ["+=", "="]);
  shift(parser);
  const value = parseValue(parser, ["STRING", "NUMBER", "["]);
  if (typeof value === "symbol") return value;
  store(parser, { name: name.text, operator, value, position: name.position });
  const end = peek(parser).kind;
  if (end === "NEWLINE" || end === ";") {
    shift(parser);
    return undefined;
  }
  if (end === "$end") return "end";
  // Bison has taken the assignment for the file's last by now, and gives up.
  syntaxError(parser, ["$end"]);
  return abort;
}

function parseValue(parser: Parser, expected: readonly TokenKind[]): ConfigValue | Interrupted {
  const token = peek(parser);
  switch (token.kind) {
    case "STRING":
    case "NUMBER":
      shift(parser);
      return { kind: "atom", text: token.text, position: token.position };
    case "[":
      return parseList(parser);
    default:
      return syntaxError(parser, expected);
  }
}

function parseList(parser: Parser): ConfigList | Interrupted {
  const list: ConfigList = { kind: "list", values: [], position: shift(parser).position };
  skipNewlines(parser);
  while (peek(parser).kind !== "]") {
    const value = parseValue(parser, ["]"]);
    if (typeof value === "symbol") return value;
    list.values.push(value);
    skipNewlines(parser);
    if (peek(parser).kind !== ",") break;
    shift(parser);
    skipNewlines(parser);
  }
  if (peek(parser).kind !== "]") return syntaxError(parser, ["]"]);
  shift(parser);
  return list;
}

function skipNewlines(parser: Parser): void {
  while (peek(parser).kind === "NEWLINE") shift(parser);
}

/** xlu__cfg_set_store: remembers an assignment; `+=` joins the value before it. */
function store(parser: Parser, assignment: Assignment): void {
  if (parser.failed) return;
  parser.assignments.push(assignment);
  const { name, operator, value } = assignment;
  const previous = operator === "+=" ? parser.settings.get(name) : undefined;
  if (previous !== undefined && previous.value.kind !== value.kind) {
    reportError(parser, `can't add [list] to "string" or vice versa`, parser.lexer.line);
    parser.lexicalErrorLine = parser.lexer.line;
    const wanted = previous.value.kind === "list" ? "a [list]" : "a string or number";
    addHint(parser, value.position, `expected ${wanted}, as "${name}" has been on line ${previous.line}`);
    return;
  }
  const joined = previous === undefined ? value : join(previous.value, value);
  parser.settings.set(name, { value: joined, operator, line: value.position.line });
}

function join(previous: ConfigValue, added: ConfigValue): ConfigValue {
  const { position } = added;
  if (previous.kind === "list" && added.kind === "list") {
    return { kind: "list", values: [...previous.values, ...added.values], position };
  }
  if (previous.kind === "atom" && added.kind === "atom") {
    return { kind: "atom", text: previous.text + added.text, position };
  }
  return added;
}
