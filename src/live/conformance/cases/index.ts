// SPDX-License-Identifier: Apache-2.0
//
// All cases, in the order in which they are played.

import type { Case } from "../case.ts";
import { ADVISORIES } from "./advisories.ts";
import { DOMAINS } from "./domains.ts";
import { NODES } from "./nodes.ts";
import { TRANSACTIONS } from "./transactions.ts";
import { WATCHES } from "./watches.ts";

/** Every conformance case; names are unique. */
export const CASES: readonly Case[] = [...NODES, ...WATCHES, ...TRANSACTIONS, ...DOMAINS, ...ADVISORIES];
