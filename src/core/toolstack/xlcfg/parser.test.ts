// SPDX-License-Identifier: Apache-2.0
//
// Expected messages were recorded from xl 4.17.7 and its libxlutil.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "./parser.ts";
import { printConfig, type Assignment, type ConfigValue } from "./syntax.ts";

/** A value without its positions: text, or an array. */
type Plain = string | Plain[];
const plain = (value: ConfigValue): Plain => (value.kind === "atom" ? value.text : value.values.map(plain));

function settings(text: string): Record<string, Plain> {
  const parsed = parseConfig("f", text);
  if (!parsed.ok) throw new Error(parsed.stderr);
  return Object.fromEntries([...parsed.config.settings].map(([name, { value }]) => [name, plain(value)]));
}

function errors(text: string): string {
  const parsed = parseConfig("f", text);
  return parsed.ok ? "" : parsed.stderr;
}

const python =
  "warning: Config file looks like it contains Python code.\n" +
  "warning:  Arbitrary Python is no longer supported.\n" +
  "warning:  See https://wiki.xen.org/wiki/PythonInXlConfig\n";

describe("xl.cfg's syntax", () => {
  test.each<[string, string, Record<string, Plain>]>([
    ["nothing", "", {}],
    ["names, numbers, both quotes", `a=1\nb_2.c = "x"\nc\t=\t'y'\n`, { a: "1", "b_2.c": "x", c: "y" }],
    ["numbers stay as written", "a=0x1f\nb=010\n", { a: "0x1f", b: "010" }],
    ["comments and empty lines", "# c\n\na=1 # d\n  # e\n", { a: "1" }],
    ["semicolons", "a=1;b=2;;c=3", { a: "1", b: "2", c: "3" }],
    ["no newline at the end", "a=[1]", { a: ["1"] }],
    ["lists over lines, trailing comma", `a = [\n "x", # first\n 'y',\n\n]\n`, { a: ["x", "y"] }],
    ["nested lists", `a=[["x",1],[],[["y"]]]`, { a: [["x", "1"], [], [["y"]]] }],
    ["an empty list over lines", "a=[\n\n]\n", { a: [] }],
    ["the last assignment wins", "a=1\na=2\n", { a: "2" }],
    ["+= on strings", `a="x"\na+="y"\na+=1`, { a: "xy1" }],
    ["+= on lists", `a=[1]\na+=[2,3]\na+=[]`, { a: ["1", "2", "3"] }],
    ["+= on nothing", `a+="y"`, { a: "y" }],
    ["= after +=", `a="x"\na+="y"\na="z"`, { a: "z" }],
    ["escapes", String.raw`a="\a\b\f\n\r\t\v\\\"\'"`, { a: "\x07\b\f\n\r\t\v\\\"'" }],
    ["the other quote needs none", `a="it's"\nb='say "x"'`, { a: "it's", b: 'say "x"' }],
    ["octal escapes add nothing", String.raw`a="x\101y"`, { a: "xy" }],
    ["a lone unknown character at the end", "a=1\n-", { a: "1" }],
  ])("%s", (_, text, expected) => {
    expect(settings(text)).toEqual(expected);
  });

  test("positions", () => {
    const parsed = parseConfig("f", `a=1\n  bc = [ "x",\n 2 ]\n`);
    expect(parsed).toMatchObject({
      ok: true,
      syntax: {
        source: "f",
        assignments: [
          {
            name: "a",
            operator: "=",
            position: { line: 1, column: 1 },
            value: { position: { line: 1, column: 3 } },
          },
          {
            name: "bc",
            position: { line: 2, column: 3 },
            value: {
              kind: "list",
              position: { line: 2, column: 8 },
              values: [{ position: { line: 2, column: 10 } }, { position: { line: 3, column: 2 } }],
            },
          },
        ],
      },
    });
  });
});

const lineOf = (line: number, near: string, message: string): string =>
  `f:${line}: config parsing error near ${near}: ${message}\n`;

describe("xl's own words for errors", () => {
  test.each<[string, string]>([
    ["name = (((\n", lineOf(1, "`((('", "lexical error") + python],
    ["a = 1.5\n", lineOf(1, "`.5'", "lexical error") + python],
    ["A=1\nb=1\n", lineOf(1, "`A=1'", "lexical error")],
    ["a=$\n", lineOf(1, "`$'", "lexical error")],
    ["a=0xFF\n", lineOf(1, "`FF'", "lexical error")],
    ["a b\n", lineOf(1, "`b'", "syntax error, unexpected IDENT, expecting += or '='")],
    ["a=\n", lineOf(0, "<newline>", "syntax error, unexpected NEWLINE, expecting STRING or NUMBER or '['")],
    ["a=", lineOf(1, "`'", "syntax error, unexpected $end, expecting STRING or NUMBER or '['")],
    // The end of the file is on the line of what stood last.
    ["a=[\n\n  ", lineOf(2, "`'", "syntax error, unexpected $end, expecting ']'")],
    ["a=1 b=2\n", lineOf(1, "`b'", "syntax error, unexpected IDENT, expecting $end")],
    ["a=[1 2]\n", lineOf(1, "`2'", "syntax error, unexpected NUMBER, expecting ']'")],
    ["a=[,]\n", lineOf(1, "`,'", "syntax error, unexpected ',', expecting ']'")],
    ["a=[1,,2]\n", lineOf(1, "`,'", "syntax error, unexpected ',', expecting ']'")],
    ["1=2\n", lineOf(1, "`1'", "syntax error, unexpected NUMBER, expecting $end or IDENT or NEWLINE or ';'")],
    ['a="x\n', lineOf(1, "`\"x'", "lexical error")],
    [
      String.raw`a="\x41"`,
      lineOf(1, '`"\\x41"\'', "invalid digit after backslash hexnumerical character escape in quoted string"),
    ],
    [String.raw`a="\q"`, lineOf(1, '`"\\q"\'', "invalid character after backlash in quoted string")],
    ['a=[1]\na+="x"\n', lineOf(2, '`"x"\'', `can't add [list] to "string" or vice versa`)],
    // Errors on further lines are reported too, once a line read well has passed.
    [
      "a b\nc=1\nd=1\ne f\n",
      lineOf(1, "`b'", "syntax error, unexpected IDENT, expecting += or '='") +
        lineOf(4, "`f'", "syntax error, unexpected IDENT, expecting += or '='"),
    ],
  ])("%j", (text, expected) => {
    expect(errors(text)).toBe(expected);
  });
});

describe("our own line", () => {
  test.each([
    [
      'name = "x"\nmemory = (((\n',
      'f:2:10: expected a name, a number, a quoted string, or one of = += [ ] , ; and not "((("\n',
    ],
    ["a = 1\nbb 5\n", 'f:2:4: expected "+=" or "=", found a number\n'],
    ["a = [ 1, 2\n", 'f:2:1: expected "]", found the end of the file\n'],
    ["a = [1]\na += 'x'\n", 'f:2:6: expected a [list], as "a" has been on line 1\n'],
    [String.raw`a = "x\q"`, "f:1:7: expected one of \\\\ \\\" \\' \\a \\b \\f \\n \\r \\t \\v and not \\q\n"],
  ])("%j", (text, expected) => {
    const parsed = parseConfig("f", text);
    expect(parsed.ok ? "" : parsed.hint).toBe(expected);
  });
});

const position = { line: 0, column: 0 };
const atom = fc
  .oneof(fc.string(), fc.stringMatching(/^[0-9][0-9a-fx]*$/), fc.constantFrom("\n", '"', "'", "\\", "#", ""))
  .filter((text) => !text.includes("\0"))
  .map((text): ConfigValue => ({ kind: "atom", text, position }));
const { value } = fc.letrec<{ value: ConfigValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    atom,
    fc
      .array(tie("value"), { maxLength: 4 })
      .map((values): ConfigValue => ({ kind: "list", values, position })),
  ),
}));
const assignment = fc.record({
  name: fc.stringMatching(/^[a-z][._0-9a-z]*$/),
  operator: fc.constant("=" as const),
  value,
  position: fc.constant(position),
});

/** The tree with every position set to nothing. */
const withoutPositions = (assignments: readonly Assignment[]): unknown =>
  assignments.map(({ name, operator, value }) => [name, operator, plain(value)]);

test("what is printed parses to the same tree", () => {
  fc.assert(
    fc.property(fc.array(assignment), (assignments) => {
      const parsed = parseConfig("f", printConfig(assignments));
      if (!parsed.ok) throw new Error(parsed.stderr);
      expect(withoutPositions(parsed.syntax.assignments)).toEqual(withoutPositions(assignments));
    }),
  );
});

test("no text makes it throw or go on for ever, and a failure always says where", () => {
  const pieces = fc.constantFrom(
    "a",
    "=",
    "+=",
    "[",
    "]",
    ",",
    ";",
    "\n",
    " ",
    '"',
    "'",
    "1",
    "# ",
    "\\",
    "(",
    "é",
    "\r",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      const parsed = parseConfig("f", parts.join(""));
      if (parsed.ok) return;
      expect(parsed.stderr).toMatch(/^f:\d+: config parsing error near /);
      expect(parsed.hint).toMatch(/^f:\d+:\d+: expected .*\n$/s);
    }),
    { numRuns: 500 },
  );
});
