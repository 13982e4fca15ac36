// SPDX-License-Identifier: Apache-2.0
//
// Every benchmark, in the order in which they run.

import { alive } from "./alive.ts";
import type { Bench } from "./bench.ts";
import { engine } from "./engine.ts";
import { exploration } from "./exploration.ts";
import { hypercalls } from "./hypercalls.ts";
import { isolation } from "./isolation.ts";
import { journal } from "./journal.ts";
import { killLive } from "./kill-live.ts";
import { kill } from "./kill.ts";
import { lives } from "./lives.ts";
import { xenstored } from "./xenstored.ts";

export const benches: readonly Bench[] = [
  engine,
  exploration,
  lives,
  alive,
  kill,
  killLive,
  hypercalls,
  isolation,
  journal,
  xenstored,
];
