// SPDX-License-Identifier: Apache-2.0
//
// npm run bench: measures, see USAGE.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join, resolve } from "node:path";
import type { Bench, Report, Table } from "../bench/bench.ts";
import { benches } from "../bench/all.ts";
import { howToEnable, isAvailable } from "./capabilities.ts";
import { optionsOf, refuse } from "./options.ts";

const root = join(import.meta.dirname, "..");

const USAGE = `Usage: npm run bench [-- NAME... OPTIONS]

Measures, and says which claims hold. A full run leaves a page a benchmark in
docs/results; a quick one, or one of some cases, only where --out says.

  --quick          few rounds and small cases, to see that it works
  --rounds N       how many rounds of each case
  --suite A,B      only these suites of cases
  --only PATTERN   only cases whose name this regular expression fits
  --json           a line of JSON a benchmark instead of its page
  --out FOLDER     where pages go

Names: ${benches.map(({ name }) => name).join(" ")} (all where none is given)
Exit code: 0; 1 where a claim does not hold or something is missing; 2 for a wrong command line

  npm run bench -- hypercalls
  npm run bench -- xenstored --only "lifecycle|mix" --rounds 3
`;

function progressLine(name: string): (text: string) => void {
  const { stderr } = process;
  if (!stderr.isTTY) return (text) => void stderr.write(`${name}: ${text}\n`);
  return (text) => void stderr.write(`\r\u001B[K${name}: ${text}`);
}

function git(...args: string[]): string {
  try {
    return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

/** What the measurements were made with. */
function circumstances(command: string): [string, string][] {
  const dirty = git("status", "--porcelain", "--", "src", "bench") === "" ? "" : ", with changes";
  const [cpu] = cpus();
  return [
    ["Commit", `${git("rev-parse", "--short=12", "HEAD") || "unknown"}${dirty}`],
    ["Machine", `${cpus().length} × ${cpu?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB`],
    ["Load", `${(loadavg()[0] as number).toFixed(1)} when it began`],
    ["System", `${process.platform} ${release()}, Node ${process.versions.node}, V8 ${process.versions.v8}`],
    ["Command", `\`${command}\``],
  ];
}

/** The command as it stands in a table: without where the page went, its patterns quoted. */
function shownCommand(args: readonly string[]): string {
  const told = args.filter((arg, at) => arg !== "--out" && args[at - 1] !== "--out");
  const quoted = told.map((arg) => (/^[\w,-]+$/.test(arg) ? arg : `'${arg}'`));
  return ["npm run bench --", ...quoted].join(" ").replaceAll("|", String.raw`\|`);
}

function tableText({ columns, rows }: Pick<Table, "columns" | "rows">): string {
  const line = (values: readonly (string | number)[]): string => `| ${values.join(" | ")} |`;
  return [line(columns), line(columns.map((_, at) => (at === 0 ? "---" : "---:"))), ...rows.map(line)].join(
    "\n",
  );
}

function pageOf(bench: Bench, report: Report, measuredWith: readonly [string, string][]): string {
  const claims = report.claims.map(({ text, measured, holds }) => [text, measured, holds ? "yes" : "**no**"]);
  const parts = [
    `# ${bench.name}`,
    bench.about,
    tableText({ columns: ["Measured with", ""], rows: measuredWith }).replace("---:", "---"),
    "## Claims",
    tableText({ columns: ["Claim", "Measured", "Holds"], rows: claims }).replaceAll("---:", "---"),
    ...(report.pictures ?? []).map(({ title, file }) => `![${title}](${file})`),
    ...report.tables.flatMap((table) => [
      `## ${table.title}`,
      ...(table.note === undefined ? [] : [table.note]),
      tableText(table),
    ]),
  ];
  return `${parts.join("\n\n")}\n`;
}

function chosen(names: readonly string[]): Bench[] {
  const unknown = names.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) refuse(`no benchmark ${unknown.join(", ")}`, USAGE);
  return benches.filter(({ name }) => names.length === 0 || names.includes(name));
}

async function main(): Promise<void> {
  const { values, positionals } = optionsOf(USAGE, {
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      out: { type: "string" },
      suite: { type: "string" },
      only: { type: "string" },
      rounds: { type: "string" },
    },
  });
  const { suite, only } = values;
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const partly = values.quick || suite !== undefined || only !== undefined;
  const out = values.out ?? (partly ? undefined : join(root, "docs/results"));
  for (const bench of chosen(positionals)) {
    const missing = bench.needs?.filter((capability) => !isAvailable(capability)) ?? [];
    if (missing.length > 0) {
      console.error(`${bench.name} needs ${missing.map(howToEnable).join("; ")}`);
      process.exitCode = 1;
      continue;
    }
    const progress = progressLine(bench.name);
    const measuredWith = circumstances(shownCommand(process.argv.slice(2)));
    const report = await bench.run({ quick: values.quick, progress, suite, only, rounds });
    if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
    const page = pageOf(bench, report, measuredWith);
    const { tables, claims } = report;
    const line = { bench: bench.name, quick: values.quick, tables, claims };
    console.log(values.json ? JSON.stringify(line) : page);
    if (report.claims.some(({ holds }) => !holds)) process.exitCode = 1;
    if (out === undefined) continue;
    mkdirSync(resolve(out), { recursive: true });
    writeFileSync(join(resolve(out), `${bench.name}.md`), page);
    for (const { file, svg } of report.pictures ?? []) writeFileSync(join(resolve(out), file), svg);
  }
}

await main();
