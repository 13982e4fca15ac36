// SPDX-License-Identifier: Apache-2.0
//
// The letters of xl's state column: what each means, and what put it there.
// (xen/common/domctl.c, getdomaininfo; tools/xl/xl_list.c.)

import type { Cells, DeepReadonly } from "../core/engine/cells.ts";
import type { Domain } from "../core/hypervisor/domain.ts";
import { getdomaininfo, stateString } from "../core/hypervisor/dominfo.ts";
import type { Letter } from "./diagnosis.ts";
import { count } from "./text-parts.ts";

const meanings: { readonly [letter: string]: string } = {
  r: "running: a vCPU could run now",
  b: "blocked: every vCPU that is up waits for an event",
  p: "paused by the toolstack or the device model",
  s: "shut down: every vCPU has stopped for it",
  d: "dead: the kill has finished, and what is left is held by others",
};

/** Of a domain that is shut down, the fifth letter is the reason (SHUTDOWN_*, public/sched.h). */
const reasons: { readonly [letter: string]: string } = {
  "-": "poweroff, which has no letter",
  r: "reboot",
  s: "suspend",
  c: "crash",
  w: "watchdog",
  S: "soft reset",
};

const REASON_COLUMN = 4;

/** xl's six letters for a domain, and each of those that are set explained. */
export function lettersOf(
  cells: Cells,
  now: number,
  d: DeepReadonly<Domain>,
): { state: string; letters: Letter[] } {
  const state = stateString(getdomaininfo(cells, now, d).flags);
  const letters = letterMeanings(state, d.shutdown === "complete").map(
    ({ letter, means, column }): Letter => {
      return { letter, means, because: column === REASON_COLUMN ? null : because(d, letter) };
    },
  );
  return { state, letters };
}

/** The letters that are set in xl's state column, and what each means. */
export function letterMeanings(
  state: string,
  isShutDown: boolean,
): { letter: string; means: string; column: number }[] {
  const set = state.split("").map((letter, column) => ({ letter, column }));
  return set
    .filter(({ letter, column }) => letter !== "-" && (column !== REASON_COLUMN || isShutDown))
    .map(({ letter, column }) => {
      const reason = `it gave the reason ${reasons[letter] ?? "?"}`;
      return { letter, column, means: column === REASON_COLUMN ? reason : (meanings[letter] ?? "?") };
    });
}

function because(d: DeepReadonly<Domain>, letter: string): string | null {
  switch (letter) {
    case "p":
      if (d.isDying !== "alive")
        return "xl destroy pauses a domain before it kills it, and nobody unpauses it";
      return d.creationFinished
        ? `${count(d.controllerPauseCount, "pause")} not taken back: xl unpause ${d.domid}`
        : "it has never run: xl create -p leaves it so";
    case "s":
      return `its code is ${d.shutdownCode}, ${reasonOf(d.shutdownCode)}; the toolstack's monitor acts on it`;
    case "d":
      return "xc_domain_destroy has returned; while a kill is under way a domain shows p, not d";
    default:
      return null;
  }
}

/** A shutdown code in words. */
export function reasonOf(code: number): string {
  return ["poweroff", "reboot", "suspend", "crash", "watchdog", "soft reset"][code] ?? `code ${code}`;
}
