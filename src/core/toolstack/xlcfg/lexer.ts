// SPDX-License-Identifier: Apache-2.0
//
// Tokens of an xl configuration file (tools/libs/util/libxlu_cfg_l.l). Tokens
// are read one at a time, because xl reports lexical errors as it meets them.

import type { Position } from "./syntax.ts";

export type TokenKind =
  | "IDENT"
  | "STRING"
  | "NUMBER"
  | "NEWLINE"
  | ","
  | "["
  | "]"
  | "+="
  | "="
  | ";"
  | "$end";

export interface Token {
  kind: TokenKind;
  /** As written. */
  raw: string;
  /** The name, the number as written, or the string without quotes and escapes. */
  text: string;
  position: Position;
  /** The line the scanner is on after the token: one further for NEWLINE. */
  lineAfter: number;
}

/** What the scanner tells while it goes. */
export interface LexerReport {
  /** `near` is what xl quotes, `lineAfter` the scanner's line once it was read. */
  lexicalError(message: string, near: string, lineAfter: number, position: Position, expected: string): void;
  /** Whether anything failed so far: strings are not looked into any more then. */
  failed(): boolean;
  /** A character Python programs have and xl.cfg does not. */
  likelyPython(): void;
}

export interface Lexer {
  readonly text: string;
  offset: number;
  line: number;
  /** Offset of the current line's first character. */
  lineStart: number;
  /** The line of the last token, which is what xl's messages about the end of the file name. */
  tokenLine: number;
  /** A lone unknown character at the very end: messages about the end quote it. */
  trailing: string;
  readonly report: LexerReport;
}

/** A scanner at the start of `text`. */
export function createLexer(text: string, report: LexerReport): Lexer {
  return { text, offset: 0, line: 1, lineStart: 0, tokenLine: 1, trailing: "", report };
}

// One alternative a rule of the scanner, longest match first where two could begin alike.
const rules = [
  /([a-z][._0-9a-z]*)/, // a name
  /([0-9][0-9a-fx]*)/, // a number
  /([ \t])/,
  /(\+=|[,[\]=;])/,
  /(\n|#[^\n]*\n)/, // the end of a line, with a comment before it
  /('(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*")/,
];
const token = new RegExp(rules.map(({ source }) => source).join("|"), "y");
const rest = /[ \t]|\n|[^ \t\n]*/y;

/** The next token. Text that is none is reported and skipped, as if it were blank. */
export function nextToken(lexer: Lexer): Token {
  for (;;) {
    const position = { line: lexer.line, column: lexer.offset - lexer.lineStart + 1 };
    if (lexer.offset >= lexer.text.length) {
      return { kind: "$end", raw: `${lexer.trailing}\0`, text: "", position, lineAfter: lexer.line };
    }
    token.lastIndex = lexer.offset;
    const match = token.exec(lexer.text);
    if (match === null) {
      const newline = skipUnknown(lexer, position);
      if (newline !== undefined) return newline;
      continue;
    }
    const [raw, ident, number, blank, punctuation, newline] = match;
    lexer.offset += raw.length;
    if (blank !== undefined) continue;
    lexer.tokenLine = position.line;
    if (newline !== undefined) return endLine(lexer, raw, position);
    const made = (kind: TokenKind, text: string): Token => ({
      kind,
      raw,
      text,
      position,
      lineAfter: lexer.line,
    });
    if (ident !== undefined) return made("IDENT", ident);
    if (number !== undefined) return made("NUMBER", number);
    if (punctuation !== undefined) return made(punctuation as TokenKind, punctuation);
    return made("STRING", dequote(lexer, raw, position));
  }
}

function endLine(lexer: Lexer, raw: string, position: Position): Token {
  lexer.line += 1;
  lexer.lineStart = lexer.offset;
  return { kind: "NEWLINE", raw, text: raw, position, lineAfter: lexer.line };
}

/**
 * Reports one character that begins no token together with what follows it up
 * to the next blank. When it stands right before the end of its line, that
 * end goes with it and is returned as the token. A lone character at the very
 * end of the text is skipped in silence: flex meets the end of the file first.
 */
function skipUnknown(lexer: Lexer, position: Position): Token | undefined {
  const first = lexer.text[lexer.offset] as string;
  if (/[+\-.():]/.test(first)) lexer.report.likelyPython();
  rest.lastIndex = lexer.offset + 1;
  const tail = rest.exec(lexer.text)?.[0] ?? "";
  const near = first + tail;
  lexer.offset += near.length;
  if (tail === "" && first < "\x80") {
    lexer.trailing = first;
    return undefined;
  }
  const lineEnds = tail === "\n";
  const expected = `a name, a number, a quoted string, or one of = += [ ] , ; and not "${near.trimEnd()}"`;
  lexer.report.lexicalError("lexical error", near, lexer.line + (lineEnds ? 1 : 0), position, expected);
  return lineEnds ? endLine(lexer, near, position) : undefined;
}

const simpleEscapes: Record<string, string> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * The string without its quotes and escapes. As in xl, a numerical escape adds
 * nothing to the string: xlu__cfgl_dequote reads its digits and drops the
 * value, and refuses every hexadecimal one.
 */
function dequote(lexer: Lexer, raw: string, position: Position): string {
  if (lexer.report.failed()) return "";
  const inner = raw.slice(1, -1);
  let result = "";
  for (let index = 0; index < inner.length;) {
    const character = inner[index++] as string;
    if (character !== "\\") {
      result += character;
      continue;
    }
    const escaped = inner[index++] as string;
    const plain = simpleEscapes[escaped];
    const digits = /^[0-9]{0,3}/.exec(inner.slice(index))?.[0].length ?? 0;
    if (plain !== undefined) result += plain;
    else if (escaped >= "0" && escaped <= "7" && digits > 1) index += digits;
    else {
      reportEscape(lexer, raw, escaped, { line: position.line, column: position.column + index - 1 });
      break;
    }
  }
  return result;
}

function reportEscape(lexer: Lexer, raw: string, escaped: string, position: Position): void {
  const message =
    escaped === "x"
      ? "invalid digit after backslash hexnumerical character escape in quoted string"
      : escaped >= "0" && escaped <= "7"
        ? "invalid digit after backslash octalnumerical character escape in quoted string"
        : "invalid character after backlash in quoted string";
  const expected = `one of \\\\ \\" \\' \\a \\b \\f \\n \\r \\t \\v and not \\${escaped}`;
  lexer.report.lexicalError(message, raw, lexer.line, position, expected);
}
