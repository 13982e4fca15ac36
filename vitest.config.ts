// SPDX-License-Identifier: Apache-2.0

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{src,scripts,examples}/**/*.test.ts", "test/**/*.test.ts"],
    // Real clients and daemons start slowly on a busy two-core machine; a hang must still end.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    restoreMocks: true,
  },
});
