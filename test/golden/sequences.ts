// SPDX-License-Identifier: Apache-2.0
//
// Writes docs/internals/recorded-sequences/ from the recordings: what each
// actor said to xenstored and asked of the hypervisor, step by step, for
// whoever implements the same step. `npm run sequences`.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { saidBy, renamedRole, type Said } from "./exchanges.ts";
import { namesOf, renamePaths, type Names } from "./names.ts";
import { readRecording } from "./parse/folder.ts";
import type { Process, Recording } from "./recording.ts";
import { actorsOf } from "./roles.ts";

const SCENARIOS = [
  "a-create-paused-unpause",
  "b-orderly-shutdown",
  "c-guest-poweroff",
  "d-guest-reboot-restart",
  "d2-xl-reboot",
  "e1-crash-destroy",
  "f-destroy-running",
  "g-pause-unpause",
  "h-rename",
  "i1-save-restore",
  "dev-vbd-vif",
  "m-domid-allocation",
  "err-xl-errors",
  "k1-zombie-foreign-map",
  "k3-zombie-sharedinfo",
];

const folder = import.meta.dirname;

/** A list already printed, so that the next identical one only refers to it. */
const printed = new Map<string, string>();

/** What every `xl` process asks before anything else, and again after each fork. */
const OPENING = /^(ioctl P|privcmd DM_OP|xen_version|xsm_op)/;

function section(recording: Recording): string[] {
  const names = namesOf(recording);
  const guests = guestNames(recording);
  const out = [`# ${recording.scenario}`, "", "```"];
  for (const entry of recording.commands)
    out.push(entry.kind === "note" ? `# ${entry.text}` : `$ ${entry.line}   → ${entry.exitCode}`);
  out.push("```", "");
  out.push(...list("domain states", `${recording.scenario}, domain states`, states(names, recording)));
  for (const actor of actorsOf(recording)) {
    if (actor.role.startsWith("bystander")) continue;
    const role = renamedRole(names, actor.role);
    const title = actor.command ? `${role}: \`${actor.command.line}\`` : role;
    out.push(
      ...list(
        `xenstore: ${title}`,
        `${recording.scenario}, ${role}`,
        folded(told(saidBy(names, actor)).map((line) => anonymous(guests, line))),
      ),
    );
  }
  for (const process of recording.processes) {
    if (process.calls.length === 0) continue;
    const title = process.commandLine ? `${process.program}: \`${process.commandLine}\`` : process.program;
    out.push(
      ...list(
        `hypercalls: ${title}`,
        `${recording.scenario}, calls of ${process.program}`,
        called(names, process),
      ),
    );
  }
  return out;
}

function list(title: string, name: string, body: string[]): string[] {
  if (body.length === 0) return [];
  const text = body.join("\n");
  const before = printed.get(text);
  if (before !== undefined) return [`## ${title}`, "", `As in ${before}.`, ""];
  if (body.length > 3) printed.set(text, name);
  return [`## ${title}`, "", "```", ...body, "```", ""];
}

/** One line an exchange; what happens inside a transaction is indented. */
function told(said: Said[]): string[] {
  let inside = false;
  const out: string[] = [];
  for (const one of said) {
    if (one.type === "TRANSACTION_END") inside = false;
    const indent = inside ? "    " : "";
    const answer = one.answer === "" ? "" : `  → ${one.answer}`;
    out.push(
      one.kind === "event"
        ? `${indent}        ⇐ ${one.what}`
        : `${indent}${one.type} ${one.what}${answer}`.trimEnd(),
    );
    if (one.type === "TRANSACTION_START") inside = true;
  }
  return out;
}

function states(names: Names, recording: Recording): string[] {
  const out: string[] = [];
  for (const row of recording.domains) {
    const { flags = "", code = "", vcpus = "", tot = "", max = "", outst = "" } = row.fields;
    const line =
      row.change === "GONE"
        ? `GONE ${names.domid(row.domid)}`
        : `${row.change} ${names.domid(row.domid)} ${flags} code=${code} vcpus=${vcpus} ` +
          `tot=${tot} max=${max} outst=${outst}`;
    if (line !== out.at(-1)) out.push(line);
  }
  return out;
}

/** What domains were called, so that two scenarios' lists can be seen to be the same. */
function guestNames(recording: Recording): string[] {
  const found = new Set<string>();
  for (const line of recording.store) {
    const m =
      line.kind === "request" && line.type === "WRITE"
        ? /^\/local\/domain\/\d+\/name (.+)$/.exec(line.body)
        : null;
    if (m) found.add(m[1]!);
  }
  return [...found];
}

function anonymous(guests: string[], line: string): string {
  const at = guests.findIndex((guest) => line.endsWith(`"${guest}"`));
  if (at >= 0) return line.replace(/"[^"]*"$/, `"NAME${at + 1}"`);
  return line.replace(/(image\/cmdline = )".*"$/, '$1"CMDLINE"');
}

/** Blocks of up to eight lines that repeat at once are printed once, with how often they came again. */
function folded(all: string[]): string[] {
  const out: string[] = [];
  for (let at = 0; at < all.length;) {
    const best = longestRepeat(all, at);
    if (best) {
      out.push(
        ...all.slice(at, at + best.size),
        `... ${best.size === 1 ? "this line" : `these ${best.size} lines`} ${best.times} more times`,
      );
      at += best.size * (best.times + 1);
    } else out.push(all[at++]!);
  }
  return out;
}

function longestRepeat(all: string[], at: number): { size: number; times: number } | null {
  for (let size = 1; size <= 8; size++) {
    const block = all.slice(at, at + size).join("\n");
    let times = 0;
    while (all.slice(at + size * (times + 1), at + size * (times + 2)).join("\n") === block) times++;
    if (size * times >= 3 && at + size * (times + 1) <= all.length) return { size, times };
  }
  return null;
}

/**
 * Calls in order, without xl's opening ones and xenstored's notifications; a
 * run of equal calls once with its count.
 */
function called(names: Names, process: Process): string[] {
  const out: string[] = [];
  for (const call of process.calls) {
    if (OPENING.test(call.name) || call.name === "evtchn NOTIFY") continue;
    const args = Object.entries(call.args).map(
      ([name, value]) => `${name}=${name === "dom" ? names.domid(value) : value}`,
    );
    const plain = call.plain.map((word) => (/^0x[0-9a-f]{8,}$/.test(word) ? "ADDRESS" : word));
    const result = call.errno === null ? `${call.result}` : `${call.result} errno=${call.errno}`;
    const given = call.out === "" ? "" : ` => ${renamedOut(names, call.out)}`;
    out.push([call.name, ...plain, ...args, "=", result].join(" ") + given);
  }
  return folded(out);
}

function renamedOut(names: Names, out: string): string {
  return renamePaths(names, out)
    .replace(
      /\bdom(id)?=(\d+)/g,
      (_, id: string | undefined, domid: string) => `dom${id ?? ""}=${names.domid(domid)}`,
    )
    .replace(/\[(\d+):/g, (_, domid: string) => `[${names.domid(domid)}:`);
}

const HEAD = `# Recorded sequences

Generated by \`npm run sequences\` from test/golden/recordings (Xen 4.17.7, C xenstored,
Linux 6.1 dom0 and guests); do not edit.

For every scenario: what each actor said to xenstored over its connection, reads included,
and what each process asked of the hypervisor.
Order is exact within one list and says nothing between two lists.

- \`D1\`, \`D2\`: domains in the order in which Xen chose their domids; \`UUID1\`;
  \`D1:frame1\`: a machine frame; \`D1:ref1\`, \`D1:port1\`: grant references and event
  channels a guest's frontends chose; \`NAME1\`, \`CMDLINE\`: from the configuration file.
- \`⇐ path token\`: an event, at the place where xenstored sent it. \`*path\` is a kernel's
  token, the address of the watch on that path.
- \`→\`: the answer, where it is more than OK. What happens inside a transaction is indented.
- \`As in …\`: the same list, word for word.
- \`script vbd/D1/51712 [1]\`: one run of a hotplug script; it opens a connection for each request (each transaction).
- \`xl create [1]\`: the first command of the scenario; \`monitor [1]\`: the process it leaves
  behind. \`watchers\`: a process with watches on \`/\` (w1), \`@introduceDomain\` (w2) and
  \`@releaseDomain\` (w3): its events are the order in which the whole store changed.
- Left out of the calls: what every xl process asks when it starts (\`DM_OP\`,
  \`xen_version\`, \`xsm_op\`) and event channel notifications.

`;

const docs = join(folder, "../../docs/internals/recorded-sequences");
mkdirSync(docs, { recursive: true });
for (const scenario of SCENARIOS)
  writeFileSync(
    join(docs, `${scenario}.md`),
    section(readRecording(join(folder, "recordings", scenario))).join("\n"),
  );
writeFileSync(
  join(docs, "README.md"),
  HEAD + SCENARIOS.map((scenario) => `- [${scenario}](${scenario}.md)\n`).join(""),
);
