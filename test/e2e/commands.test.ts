// SPDX-License-Identifier: Apache-2.0
//
// Every command's help, and what wrong command lines get.

import { expect, test } from "vitest";
import { commands } from "../../src/cli/table.ts";
import { bin, folder, xenolith } from "./xenolith.ts";

const names = commands.map(({ name }) => name);

test.each(names)("%s --help says how it is called, with examples", (name) => {
  const { code, out, err } = xenolith([name, "--help"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(new RegExp(`^Usage: \\S+ ${name}`));
  expect(out).toMatch(/\nExamples:\n {2}\S/);
});

test("help lists every command, and helps with one that is named", () => {
  const { code, out } = xenolith(["--help"]);
  expect(code).toBe(0);
  expect(xenolith(["help", "status"]).out).toBe(xenolith(["status", "--help"]).out);
  for (const name of names) expect(out).toContain(`\n  ${name} `);
});

test("no command at all is a usage error that shows what there is", () => {
  const { code, err } = xenolith([]);
  expect(code).toBe(2);
  expect(err).toMatch(/^Usage: /);
});

test("a mistyped command gets the one that was meant", () => {
  const { code, err } = xenolith(["stats"]);
  expect(code).toBe(2);
  expect(err).toBe(`xenolith: no command stats\nTry: ${bin} status --help\n`);
});

test.each([
  [["status", "--nosuch"], "no such option: '--nosuch'"],
  [["status", "extra"], "too many words: extra"],
  [["sim"], "needs SCENARIO"],
  [["sim", "x", "--seed", "many"], "--seed takes a whole number of at least 0, not many"],
  [["sim", "x", "--seed"], "--seed"],
  [["sim", "x", "--seed", "-1"], "--seed=VALUE"],
  [["explore", "x", "--depth", "0"], "--depth takes a whole number of at least 1, not 0"],
  [["explore", "x", "--timers", "never"], "--timers is one of lazy, eager, not never"],
  [["up", "--memory", "lots"], "--memory takes a size as 8G or 4096M, not lots"],
  [["up", "--memory", "1M"], "too little"],
  [["up", "--dir", ""], "--dir needs DIR, and was given nothing"],
  [["xl", "--dir=", "list"], "--dir needs DIR, and was given nothing"],
  [["run", "--nosuch", "--", "ls"], "no such option: '--nosuch'"],
  [["up", "--xen-version", "3.0"], "--xen-version is one of 4.17, 4.23, not 3.0"],
  [["store", "frobnicate"], "no verb frobnicate"],
  [["store", "write", "/a"], "write needs PATH VALUE"],
  [["export", "t"], "needs --as mermaid or --as perfetto"],
  [["xenstored"], "needs --socket PATH"],
  [["completion", "tcsh"], "no completion for tcsh"],
])("%j is refused, with the way to help", (args, message) => {
  const { code, out, err } = xenolith(args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(message);
  expect(err.trimEnd().split("\n").at(-1)).toBe(`Try: ${bin} ${args[0]} --help`);
});

test("with --json a failure is an object, and says the same", () => {
  const dir = folder();
  const { code, out, err } = xenolith(["status", "--json", "--dir", dir]);
  expect({ code, err }).toEqual({ code: 1, err: "" });
  expect(JSON.parse(out)).toEqual({
    error: `no host answers at ${dir}/control.sock: there is no such file or directory`,
    next: `${bin} up --detach --dir ${dir}`,
  });
});

test("the next command can be copied as it is", () => {
  const dir = folder();
  const { err } = xenolith(["status", "--dir", dir], { cwd: folder() });
  const next = /^Try: (.*)$/m.exec(err)?.[1] ?? "";
  expect(next).toBe(`${bin} up --detach --dir ${dir}`);
});

test("output that cannot be written is one clear message", async () => {
  const { spawnSync } = await import("node:child_process");
  const full = spawnSync("bash", ["-c", '"$0" "$1" --help >/dev/full', process.execPath, bin], {
    encoding: "utf8",
  });
  expect({ code: full.status, err: full.stderr }).toEqual({
    code: 1,
    err: "xenolith: cannot write the output: no space left on the device\n",
  });
});

test("bash takes the completion script and completes with it", async () => {
  const { spawnSync } = await import("node:child_process");
  const script = `
    source <("${process.execPath}" "${bin}" completion bash)
    COMP_WORDS=(xenolith ex) COMP_CWORD=1; _xenolith; echo "\${COMPREPLY[@]}"
    COMP_WORDS=(xenolith explore --timers "") COMP_CWORD=3; _xenolith; echo "\${COMPREPLY[@]}"
    COMP_WORDS=(xenolith store wa) COMP_CWORD=2; _xenolith; echo "\${COMPREPLY[0]}"
    COMP_WORDS=(xenolith xl vcpu) COMP_CWORD=2; _xenolith; echo "\${COMPREPLY[@]}"
  `;
  const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8", cwd: folder() });
  expect({ stdout, stderr }).toEqual({
    stdout: "explore export\nlazy eager\nwatch\nvcpu-list vcpu-pin vcpu-set\n",
    stderr: "",
  });
});
