// SPDX-License-Identifier: Apache-2.0
//
// node scripts/run.js FILE ARG...: installs what is missing, then runs FILE (a
// path from the project's root, or a whole one) with a Node that can. Plain JavaScript.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findNode, nodeMissing, runNode } from "../bin/carried-node.js";
import { setup } from "./setup.js";

const [file = "", ...args] = process.argv.slice(2);
setup();
const node = findNode();
if (node === null) {
  process.stderr.write(nodeMissing());
  process.exitCode = 1;
} else {
  runNode(node, [resolve(fileURLToPath(new URL("..", import.meta.url)), file), ...args]);
}
