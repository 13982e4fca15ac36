// SPDX-License-Identifier: Apache-2.0
//
// The doctor's answers on a live host, and waiting for a domain to be gone.

import { diagnose, dyingDomains, incarnationOf, stageOf } from "../doctor/diagnose.ts";
import type { Diagnosis } from "../doctor/diagnosis.ts";
import { progressLine } from "../doctor/words.ts";
import type { Asker } from "./control.ts";
import { withProcesses } from "./holder-process.ts";
import type { LiveHost } from "./live-host.ts";

/** Diagnoses of one domain, or of every dead or dying one. */
export function doctorSays(host: LiveHost, word: string | undefined): Diagnosis[] {
  return host.driver.look(() => {
    const domids = word === undefined ? dyingDomains(host.world) : [Number(word)];
    return domids.map((domid) => withProcesses(diagnose(host.world, domid, (id) => host.nameOf(id))));
  });
}

/** Milliseconds between looks at who holds a domain that somebody waits for. */
const PROGRESS_MS = 200;

/** Ends the conversation when the domain that has the number now is freed; says until then who holds it. */
export function waitFreed(host: LiveHost, domid: number, asker: Asker): void {
  const { world, driver } = host;
  const incarnation = incarnationOf(world, domid);
  if (incarnation === 0) {
    asker.say({ err: `no domain has had the number ${domid} on this host\n` });
    return asker.say({ exit: 1 });
  }
  let said = "";
  const progress = (): void => {
    const line = driver.look(() => progressLine(diagnose(world, domid, (id) => host.nameOf(id))));
    if (line !== said) asker.say({ err: `${line}\n` });
    said = line;
  };
  const timer = setInterval(progress, PROGRESS_MS);
  const isGone = (): boolean =>
    stageOf(world, domid) === "freed" || incarnationOf(world, domid) !== incarnation;
  const look = (): void => {
    if (!isGone()) return;
    end();
    asker.say({ err: `domain ${domid} is gone\n` });
    asker.say({ result: { domid, freed: true } });
    asker.say({ exit: 0 });
  };
  const stopLooking = driver.afterTurn(look);
  const end = (): void => {
    clearInterval(timer);
    stopLooking();
  };
  asker.onInput((text) => {
    if (text === null) end();
  });
  if (!isGone()) progress();
  look();
}
