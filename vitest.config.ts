// SPDX-License-Identifier: Apache-2.0

import { defineConfig } from "vitest/config";

const alone = "test/alone/**/*.test.ts";
const common = {
  // Real clients and daemons start slowly on a busy two-core machine; a hang must still end.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  restoreMocks: true,
  // Tests that may run beside each other are live hosts, which mostly wait.
  maxConcurrency: 3,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "all",
          include: ["{src,scripts,examples}/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [alone],
          sequence: { groupOrder: 0 },
        },
      },
      // What measures the machine has it to itself: after all others, one file at a time.
      {
        test: {
          ...common,
          name: "alone",
          include: [alone],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
