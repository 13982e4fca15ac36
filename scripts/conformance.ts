// SPDX-License-Identifier: Apache-2.0
//
// npm run conformance: what xenstoreds answer, see USAGE.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startReal } from "../bench/xenstored/real.ts";
import type { XenstoreVersion } from "../src/core/xenstore/store.ts";
import { XENSTORE_VERSIONS } from "../src/core/xenstore/version.ts";
import type { Profile } from "../src/live/conformance/case.ts";
import { CASES } from "../src/live/conformance/cases/index.ts";
import { playCases, type Result } from "../src/live/conformance/run.ts";
import { FileRings } from "../src/live/xenstored/file-rings.ts";
import { serveXenstored } from "../src/live/xenstored/server.ts";
import { standaloneStore } from "../src/live/xenstored/standalone.ts";
import { comparable, readTranscript, writeTranscript } from "../test/conformance/transcript.ts";
import { optionsOf } from "./options.ts";

const root = join(import.meta.dirname, "..");

const USAGE = `Usage: npm run conformance [-- OPTIONS]

Plays the suite to Debian's xenstoreds and to ours, and writes what they answer
to docs/results/conformance.md. With --record it instead keeps what a xenstored
that is running answers, for one that no package has.

  --record NAME   keep the answers as test/conformance/transcripts/NAME.json
  --socket PATH   where that xenstored listens
  --domains DIR   where the rings of its domains are
  --as VERSION    what it is played as: ${XENSTORE_VERSIONS.join(", ")} (4.17)
`;
const folder = mkdtempSync(join(tmpdir(), "conformance-"));

/** One daemon's column. */
interface Column {
  readonly title: string;
  readonly profile: Profile;
  readonly results: readonly Result[];
}

/** How much of an answer is shown. */
const CUT_CHARS = 60;

async function real(kind: "c" | "ocaml", profile: Profile): Promise<readonly Result[]> {
  const daemon = await startReal(kind, join(folder, kind), { rings: true });
  try {
    return await playCases(
      CASES,
      { socketPath: daemon.socketPath, domains: daemon.run, profile },
      () => undefined,
    );
  } finally {
    await daemon.stop();
  }
}

async function ours(version: XenstoreVersion): Promise<readonly Result[]> {
  const domains = join(folder, `ours-${version}`);
  const rings = new FileRings(domains);
  const server = await serveXenstored({
    socketPath: join(domains, "socket"),
    store: (queued) => standaloneStore({ version, domains: rings.domains }, queued),
    rings,
  });
  try {
    return await playCases(
      CASES,
      { socketPath: server.socketPath, domains, profile: version },
      () => undefined,
    );
  } finally {
    await server.close();
  }
}

function cell(text: string | undefined): string {
  if (text === undefined) return "";
  const line = text.replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("|", "\\|");
  const cut = line.length <= CUT_CHARS ? line : `${line.slice(0, CUT_CHARS)}…`;
  return `\`${cut === "" ? " " : cut}\``;
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The requests that are not answered alike by all. */
function differences(columns: readonly Column[]): string[][] {
  const rows: string[][] = [];
  for (const [at, { name, lines }] of CASES.entries()) {
    for (const [number, line] of lines.entries()) {
      const answers = columns.map(({ results }) => results[at]?.answered[number]?.answer);
      const there = answers.filter((answer) => answer !== undefined).map(comparable);
      if (there.length < 2 || there.every((answer) => answer === there[0])) continue;
      rows.push([name, cell(line.replace(/ => .*$/s, "")), ...answers.map(cell)]);
    }
  }
  return rows;
}

function advisories(columns: readonly Column[]): string[][] {
  const outcomes = { passed: "holds", failed: "**does not hold**", skipped: "–" } as const;
  return CASES.flatMap(({ advisory, about }, at) =>
    advisory === undefined
      ? []
      : [[advisory, about, ...columns.map(({ results }) => outcomes[results[at]?.outcome ?? "skipped"])]],
  );
}

function page(columns: readonly Column[]): string {
  const counts = columns.map(({ title, profile, results }) => {
    const count = (outcome: string): string =>
      String(results.filter((one) => one.outcome === outcome).length);
    return [title, profile, count("passed"), count("failed"), count("skipped")];
  });
  const titles = columns.map(({ title }) => title);
  return `${[
    "# conformance",
    "What Xen's xenstoreds and ours answer to the cases of [`xenolith conformance`](../guides/conformance.md). `npm run conformance` plays them and writes this page; C 4.23 is a transcript of Xen's development branch of August 2026, which no package has.",
    table(["xenstored", "as", "passed", "failed", "skipped"], counts),
    "## Advisories",
    "Each case is what must hold now that the advisory is known.",
    table(["advisory", "what must hold", ...titles], advisories(columns)),
    "## Answers that differ",
    "Every request that they do not all answer alike. `|` is NUL; a case ends at the first answer that is not among those allowed.",
    table(["case", "request", ...titles], differences(columns)),
  ].join("\n\n")}\n`;
}

async function main(): Promise<void> {
  const { values } = optionsOf(USAGE, {
    options: {
      record: { type: "string" },
      as: { type: "string" },
      socket: { type: "string" },
      domains: { type: "string" },
    },
  });
  if (values.record !== undefined) {
    const target = {
      socketPath: values.socket ?? "",
      domains: values.domains,
      profile: (values.as ?? "4.17") as Profile,
    };
    const results = await playCases(CASES, target, () => undefined);
    writeTranscript(values.record, results);
    return;
  }
  const columns: Column[] = [
    { title: "C 4.17", profile: "4.17", results: await real("c", "4.17") },
    { title: "C 4.23", profile: "4.23", results: readTranscript("xenstored-4.23") },
    { title: "oxenstored 4.17", profile: "oxenstored", results: await real("ocaml", "oxenstored") },
  ];
  for (const version of XENSTORE_VERSIONS)
    columns.push({ title: `ours as ${version}`, profile: version, results: await ours(version) });
  writeFileSync(join(root, "docs/results/conformance.md"), page(columns));
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true });
}
