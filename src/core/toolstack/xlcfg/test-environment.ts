// SPDX-License-Identifier: Apache-2.0
//
// What tests parse configurations with.

import type { ParseEnvironment } from "./parse-context.ts";
import { defaultXlConf } from "./xl-conf.ts";

/** Four CPUs on two nodes, an empty xl.conf. */
export function testEnvironment(): ParseEnvironment {
  return {
    host: {
      maxCpus: 4,
      onlineCpus: 4,
      nodes: [
        [0, 1],
        [2, 3],
      ],
    },
    conf: defaultXlConf(),
    newUuid: "11111111-2222-3333-4444-555555555555",
    newVmGenerationId: Array.from({ length: 16 }, (_, index) => index + 1),
  };
}
