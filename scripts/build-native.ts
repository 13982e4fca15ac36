// SPDX-License-Identifier: Apache-2.0
//
// Builds what is written in C, ahead of its first use.

import { libxendev, terminalsProgram } from "../src/live/native.ts";

console.log(libxendev());
console.log(terminalsProgram());
