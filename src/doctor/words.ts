// SPDX-License-Identifier: Apache-2.0
//
// A diagnosis as an operator reads it: what is the matter, who, through what
// chain, since when, who else, and what to type next.

import type { Diagnosis, Holder, Holding, Stalled, Waiting } from "./diagnosis.ts";
import { count, seconds } from "./text-parts.ts";

/** The diagnosis in lines. */
export function words(diagnosis: Diagnosis): string[] {
  const { letters, state, holders, stalled, disagreements, remarks, missing, next } = diagnosis;
  return [
    headline(diagnosis),
    ...(state === null ? [] : ["", `State ${state}`]),
    ...letters.map(
      ({ letter, means, because }) => `  ${letter}  ${means}${because === null ? "" : `. Here: ${because}`}.`,
    ),
    ...(holders.length === 0 ? [] : ["", holds(diagnosis)]),
    ...holders.flatMap(holderLines),
    ...(stalled.length === 0 ? [] : ["", "Stalled by the same cause"]),
    ...stalled.map(stalledLine),
    ...section("Counts and ledger disagree; do not trust the above", disagreements),
    ...section("Worth knowing", remarks),
    ...section("Not known", missing),
    ...section("Next", next),
  ];
}

/** What keeps a domain, in a line: progress for somebody who waits for it to be gone. */
export function progressLine(diagnosis: Diagnosis): string {
  const { holders } = diagnosis;
  const ends = holders.flatMap(({ chain }) => chain.slice(-1)).map(({ thread, at }) => `${thread}, at ${at}`);
  return `${headline(diagnosis)}${ends.length === 0 ? "" : ` Last in line: ${ends.join("; ")}.`}`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)];
}

function holds({ stage }: Diagnosis): string {
  return stage === "zombie" ? "Who keeps it" : "Who holds anything of it";
}

function headline({ domid, name, stage, counts, holders }: Diagnosis): string {
  const domain = `Domain ${domid}${name === null ? "" : ` (${name})`}`;
  const left = counts === null ? "something of it" : leftOver(counts);
  switch (stage) {
    case "never used":
      return `No domain has had the number ${domid} on this host.`;
    case "freed":
      return `Domain ${domid} is gone: nothing of it is left, and its number can be given out again.`;
    case "being freed":
      return `Domain ${domid} has lost its last reference; its structure is freed after the RCU grace period.`;
    case "being killed":
      return `${domain} is being killed: ${left} still to give back. It shows p, not d, until that is done.`;
    case "zombie":
      return `${domain} is a zombie: the kill has finished, and ${whoHolds(holders)} ${left}.`;
    case "shut down":
      return `${domain} has shut down and was not destroyed.`;
    case "paused":
      return `${domain} is alive and paused.`;
    case "running":
      return `${domain} is alive.`;
    case "unknown":
      return `Nothing is known of domain ${domid}: the text does not name it.`;
  }
}

function whoHolds(holders: readonly Holder[]): string {
  const [first] = holders;
  if (first === undefined) return "somebody unknown still holds";
  return holders.length === 1
    ? `${first.who} still holds`
    : `${first.who} and ${count(holders.length - 1, "other")} still hold`;
}

function leftOver({ nrPages, xenheapPages, refcnt }: NonNullable<Diagnosis["counts"]>): string {
  const parts = [
    ...(nrPages > 0 ? [count(nrPages, "page")] : []),
    ...(xenheapPages > 0 ? [count(xenheapPages, "page") + " that Xen shared with it"] : []),
  ];
  return parts.length > 0 ? parts.join(" and ") : `${count(refcnt, "reference")} on its structure`;
}

function holderLines(holder: Holder): string[] {
  const { who, hint, certainty, holdings, chain, release } = holder;
  return [
    `  ${who}${certainty === "inferred" ? " (inferred: nothing shows it directly)" : ""}`,
    ...(hint === null ? [] : [`    ${hint}`]),
    ...holdings.map((holding) => `    holds ${holdingWords(holding)}`),
    ...chain.map(chainLine),
    ...(release === null ? [] : [`    lets go with: ${release}`]),
  ];
}

function holdingWords({ kind, count: n, op, since, frames, grants }: Holding): string {
  const by = frames.length === 0 ? `${count(n, "reference")} (${kind})` : `${count(n, "page")} by ${kind}`;
  const shown = frames.map((mfn) => `0x${mfn.toString(16)}`).join(" ");
  const more = n > frames.length && frames.length > 0 ? " …" : "";
  const where = frames.length === 0 ? "" : `, mfn ${shown}${more}`;
  const granted = grants.length === 0 ? "" : `, grant ${grants.join(" ")}`;
  const when = since === null ? "" : `, since ${seconds(since)}`;
  return `${by}${where}${granted}${when}${op === null ? "" : ` (${op})`}`;
}

function chainLine({ thread, routine, at, waitsFor, why }: Waiting, depth: number): string {
  const indent = "  ".repeat(depth);
  const reason = why === null ? "" : `: ${why}`;
  const next = waitsFor === null ? "" : `, which waits for ${waitsFor}`;
  return `    ${indent}${depth === 0 ? "in " : ""}${thread}, at ${routine}: ${at}${next}${reason}`;
}

function stalledLine({ thread, standsAt, domains }: Stalled): string {
  const behind = domains.length === 0 ? "" : `; events of ${domainList(domains)} wait behind it`;
  return `  ${thread}, at ${standsAt}${behind}`;
}

function domainList(domains: readonly number[]): string {
  return `domain${domains.length === 1 ? "" : "s"} ${domains.join(", ")}`;
}
