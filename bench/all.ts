// SPDX-License-Identifier: Apache-2.0
//
// Every benchmark, in the order in which they run.

import type { Bench } from "./bench.ts";
import { engine } from "./engine.ts";

export const benches: readonly Bench[] = [engine];
