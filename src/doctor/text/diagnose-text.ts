// SPDX-License-Identifier: Apache-2.0
//
// A diagnosis from text that was captured on a real host. The first rule: what
// is missing from the text is said to be missing, never taken for none.

import type { Diagnosis, Holder, Letter, Stage } from "../diagnosis.ts";
import { letterMeanings } from "../letters.ts";
import type { QDomain } from "./debug-q.ts";
import type { TextEvidence } from "./evidence.ts";
import { textHolders } from "./holders.ts";

/** What xapi sets as a domain's handle when it has given up on it; the domid follows in hexadecimal. */
const XAPI_GAVE_UP = "deadbeef-dead-beef-dead-beef0000";

/** Domains that the text shows dead or dying, in ascending order. */
export function dyingInText({ q, list }: TextEvidence): number[] {
  const found = new Set<number>();
  for (const { domid, dying } of q?.domains.values() ?? []) if ((dying ?? 0) > 0) found.add(domid);
  for (const { domid, state } of list?.values() ?? []) if (state.endsWith("d")) found.add(domid);
  return [...found].toSorted((a, b) => a - b);
}

/** What the text says of a domain. */
export function diagnoseText(evidence: TextEvidence, domid: number): Diagnosis {
  const domain = evidence.q?.domains.get(domid);
  const holders = domain !== undefined && (domain.dying ?? 0) > 0 ? textHolders(evidence, domain) : [];
  const row = evidence.list?.get(domid);
  const stage = stageInText(domain, row?.state);
  return {
    domid,
    name: row === undefined || row.name === "(null)" ? null : row.name,
    stage,
    state: row?.state ?? null,
    letters: row === undefined ? [] : lettersIn(row.state),
    counts: countsOf(domain),
    holders,
    stalled: evidence.stuck.map(({ pid, command }) => ({
      thread: `${command} (pid ${pid})`,
      standsAt: "state D",
      domains: [],
    })),
    disagreements: [],
    remarks: remarksOn(domain),
    missing: missingFrom(evidence, domid),
    next: [...searches(holders), ...nextCommands(evidence, domid)],
  };
}

function lettersIn(state: string): Letter[] {
  return letterMeanings(state, state[3] === "s").map(({ letter, means }) => ({
    letter,
    means,
    because: null,
  }));
}

function stageInText(domain: QDomain | undefined, state: string | undefined): Stage {
  if (domain?.dying === 2 || state?.endsWith("d") === true) return "zombie";
  if (domain?.dying === 1) return "being killed";
  if (state?.[3] === "s") return "shut down";
  if (state?.[2] === "p") return "paused";
  return domain === undefined && state === undefined ? "unknown" : "running";
}

function countsOf(domain: QDomain | undefined): Diagnosis["counts"] {
  const { refcnt = null, nrPages = null, xenheapPages = null } = domain ?? {};
  return refcnt === null || nrPages === null || xenheapPages === null
    ? null
    : { refcnt, nrPages, xenheapPages };
}

function remarksOn(domain: QDomain | undefined): string[] {
  return domain?.handle?.startsWith(XAPI_GAVE_UP) === true
    ? [`xapi has given up on it: its handle is ${domain.handle}`]
    : [];
}

function missingFrom({ q, g, list, stacks }: TextEvidence, domid: number): string[] {
  const domain = q?.domains.get(domid);
  return [
    ...(q === null ? ["debug key q: how many pages and references are left is not known"] : []),
    ...(q !== null && !q.begins
      ? ["the beginning of debug key q's output: the console ring has wrapped, and domains may be lost"]
      : []),
    ...(q !== null && !q.ends ? ["the end of debug key q's output"] : []),
    ...(q !== null && domain === undefined ? [`domain ${domid} in debug key q's output`] : []),
    ...(domain?.pages === null ? ["the list of its pages: Xen found it too long to print"] : []),
    ...(g === null ? ["debug key g: which grants are mapped is not known, which does not mean none"] : []),
    ...(g !== null && !(g.begins && g.ends)
      ? ["a part of debug key g's output: grants that are not listed may be mapped all the same"]
      : []),
    ...(g !== null && g.ends && g.begins && !g.granters.has(domid)
      ? [`domain ${domid}'s table in debug key g's output`]
      : []),
    ...(list === null ? ["xl list"] : []),
    ...(stacks.length === 0 ? ["kernel stacks of domain 0's threads in state D"] : []),
  ];
}

/** How to find a holder that the text does not name: the kernel says what each process maps. */
function searches(holders: readonly Holder[]): string[] {
  const kinds = new Set(holders.flatMap(({ holdings }) => holdings.map(({ kind }) => kind)));
  return [
    ...(kinds.has("foreign map") ? ["grep -l xen/privcmd /proc/[0-9]*/maps"] : []),
    ...(kinds.has("grant map") ? ["grep -l xen/gntdev /proc/[0-9]*/maps"] : []),
  ];
}

function nextCommands({ q, g, stacks }: TextEvidence, domid: number): string[] {
  const wrapped = (q !== null && !q.begins) || (g !== null && !g.begins);
  return [
    ...(wrapped ? ["boot Xen with conring_size=1M, or read the serial log: the ring has wrapped"] : []),
    ...(q === null || wrapped ? ["xl dmesg -c >/dev/null; xl debug-keys q; xl dmesg"] : []),
    ...(g === null || wrapped ? ["xl dmesg -c >/dev/null; xl debug-keys g; xl dmesg"] : []),
    ...(stacks.length === 0
      ? ["ps -eo pid,stat,comm | grep ' D'; then cat /proc/PID/stack of each", `ethtool -S vif${domid}.0`]
      : []),
  ];
}
