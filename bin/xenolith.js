#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// The command. Plain JavaScript, so that it loads in any Node: makes sure that
// what it needs is installed (in a checkout), changes over to the carried Node
// where this one is too old, then runs src/cli.

import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";
import { findNode, isRecentEnough, nodeMissing, runNode } from "./carried-node.js";

// Set only for the process that was changed over to, so that commands started
// from there may do the same with whatever Node they find.
const changedOver = process.env["XENOLITH_CHANGED_OVER"] !== undefined;
delete process.env["XENOLITH_CHANGED_OVER"];

const setupFile = new URL("../scripts/setup.js", import.meta.url);
if (!changedOver && existsSync(setupFile)) {
  const { setup } = await import(setupFile.href);
  setup();
}

if (isRecentEnough()) {
  // Sources are compiled once, not at every start; where the folder cannot be written they just are.
  nodeModule.enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/xenolith", import.meta.url)));
  const { main } = await import("../src/cli/main.ts");
  process.exitCode = await main(process.argv.slice(2));
} else {
  const node = changedOver ? null : findNode();
  if (node === null) {
    process.stderr.write(nodeMissing());
    process.exitCode = 1;
  } else {
    const self = fileURLToPath(import.meta.url);
    runNode(node, [self, ...process.argv.slice(2)], { XENOLITH_CHANGED_OVER: "1" });
  }
}
