// SPDX-License-Identifier: Apache-2.0
//
// Builds what is written in C, ahead of its first use.

import { libxendev } from "../src/live/native.ts";

console.log(libxendev());
