// SPDX-License-Identifier: Apache-2.0
//
// Our parser of configurations and command lines against the installed xl:
// same output, same exit code, character for character.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandTable } from "../../../src/core/toolstack/xl/command-table.ts";
import { formatDomainConfig } from "../../../src/core/toolstack/xl/format/list.ts";
import { parsingConfig } from "../../../src/core/toolstack/xl/messages.ts";
import { parseCommandLine } from "../../../src/core/toolstack/xl/parse-command.ts";
import {
  applyGlobalAffinityMasks,
  emptyAffinityMessage,
} from "../../../src/core/toolstack/xlcfg/affinity-masks.ts";
import { parseDomainConfig } from "../../../src/core/toolstack/xlcfg/parse-domain-config.ts";
import { testEnvironment } from "../../../src/core/toolstack/xlcfg/test-environment.ts";
import { requires } from "../../capabilities.ts";
import { realXl, type Outcome, type RealXl } from "./xl-without-xen.ts";

/** What xl prints and ends with for a configuration, by our parser. */
function ours(source: string, text: string): Outcome {
  const environment = testEnvironment();
  const parsed = parseDomainConfig(source, text, environment);
  const stderr = parsingConfig(source) + parsed.stderr;
  if (!parsed.ok) return { code: parsed.code, stdout: "", stderr };
  if (!applyGlobalAffinityMasks(parsed.config, environment.conf, environment.host)) {
    return { code: 1, stdout: "", stderr: stderr + emptyAffinityMessage };
  }
  return { code: 0, stdout: formatDomainConfig(parsed.config), stderr };
}

/** Without what is drawn anew each time. */
const settled = ({ code, stdout, stderr }: Outcome): Outcome => ({
  code,
  stdout: stdout
    .replace(/"uuid": "[0-9a-f-]{36}"/, '"uuid": new')
    .replace(/"ms_vm_genid": \[[^\]]*\]/, '"ms_vm_genid": new'),
  stderr,
});

const beginnings: Record<string, string> = {
  bare: "",
  pv: 'name="x"\nkernel="/k"\n',
  pvh: 'name="x"\nkernel="/k"\ntype="pvh"\n',
  hvm: 'name="x"\ntype="hvm"\n',
};

/** The texts of config-cases.txt. */
function configCases(): string[] {
  const file = readFileSync(join(import.meta.dirname, "config-cases.txt"), "utf8");
  return file
    .split(/^== /m)
    .slice(1)
    .map((block) => {
      const newline = block.indexOf("\n");
      return (beginnings[block.slice(0, newline)] ?? "") + block.slice(newline + 1);
    });
}

/** Whole numbers below a bound, the same in every run. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % bound;
  };
}

requires(
  "xen-utils",
  "libxen-dev",
  "c-compiler",
)("the installed xl", () => {
  let xl: RealXl;
  beforeAll(() => {
    xl = realXl();
  });
  afterAll(() => xl.remove());

  const expectSame = (text: string): void => {
    expect({ text, ...settled(ours(xl.configName, text)) }).toEqual({ text, ...settled(xl.dryRun(text)) });
  };

  test("reads every key and refuses every mistake as we do", { timeout: 120_000 }, () => {
    const cases = configCases();
    expect(cases.length).toBeGreaterThan(400);
    for (const text of cases) expectSame(text);
  });

  test("reads the examples it came with as we do", () => {
    for (const name of ["pvlinux", "pvhlinux", "hvm"]) {
      expectSame(readFileSync(`/etc/xen/xlexample.${name}`, "utf8"));
    }
  });

  test("agrees about keys together", { timeout: 120_000 }, () => {
    const below = numbers(1);
    const lines = configCases().flatMap((text) => text.split("\n"));
    const keys = lines.filter((line) => line !== "" && !/^(name|type|kernel|rdm)=/.test(line));
    const kinds = [beginnings["pv"], beginnings["pvh"], beginnings["hvm"]];
    for (let round = 0; round < 150; round++) {
      const chosen = Array.from({ length: 1 + below(7) }, () => keys[below(keys.length)]);
      expectSame(`${kinds[below(3)]}${chosen.join(below(4) === 0 ? ";" : "\n")}\n`);
    }
  });

  test("agrees about what is no configuration", { timeout: 120_000 }, () => {
    const below = numbers(2);
    const pieces = [
      "a",
      "b=",
      "=",
      "+=",
      "[",
      "]",
      ",",
      ";",
      "\n",
      "\n",
      " ",
      "\t",
      '"x"',
      "'y'",
      "12",
      "0xFF",
    ];
    pieces.push(
      "# c\n",
      "# c",
      "(((",
      "-",
      "A",
      '"',
      "'",
      '"\\n"',
      '"\\x41"',
      '"\\101"',
      '"\\q"',
      "é",
      "\\",
      "\r",
    );
    pieces.push("b=[1]\n", "b+=[2]\n", "b+='z'\n", "[1,\n2]");
    for (let round = 0; round < 250; round++) {
      const text = Array.from({ length: 1 + below(14) }, () => pieces[below(pieces.length)]).join("");
      expectSame(text);
    }
  });

  test("refuses command lines as we do", { timeout: 120_000 }, () => {
    const below = numbers(3);
    const words = [
      "0",
      "nosuch",
      "-a",
      "-w",
      "-l",
      "-h",
      "--help",
      "-f",
      "-x",
      "--",
      "-",
      "--all",
      "--l",
      "k=v",
      "-n",
    ];
    words.push(
      "-s",
      "-d",
      "-p",
      "-c",
      "-r",
      "5",
      "all",
      "--zork",
      "--force",
      "--force=1",
      "-fn",
      "-e",
      "1",
      "-v",
    );
    // These wait for something, or start a program.
    const left = new Set<string>([
      "top",
      "devd",
      "console",
      "vncviewer",
      "migrate",
      "migrate-receive",
      "remus",
    ]);
    const verbs = commandTable.map(({ verb }) => verb).filter((verb) => !left.has(verb));
    const lines: string[][] = [
      [],
      ["help"],
      ["help", "zork"],
      ["zork"],
      [""],
      ["-q"],
      ["--help"],
      ["-N", "list"],
    ];
    for (const verb of verbs) lines.push(["help", verb], [verb, "-h"], [verb], [verb, "-Q"]);
    for (let round = 0; round < 200; round++) {
      const verb = verbs[below(verbs.length)] as string;
      lines.push([verb, ...Array.from({ length: below(5) }, () => words[below(words.length)] as string)]);
    }
    // What options do is said in our own words.
    const withoutOptions = (text: string): string => text.replace(/\nOptions:\n[^]*$/, "").trimEnd();
    let compared = 0;
    for (const argv of lines) {
      const parsed = parseCommandLine(argv);
      if (parsed.kind === "command" || parsed.domainFirst !== null) continue;
      const real = xl.run(argv);
      const { code, stdout, stderr } = parsed;
      expect({ argv, code, stderr, stdout: withoutOptions(stdout) }).toEqual({
        argv,
        code: real.code,
        stderr: real.stderr,
        stdout: withoutOptions(real.stdout),
      });
      compared += 1;
    }
    expect(compared).toBeGreaterThan(400);
  });
});
