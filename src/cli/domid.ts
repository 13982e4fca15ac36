// SPDX-License-Identifier: Apache-2.0
//
// A domain named on a command line by its number: what is dead has no other name.

import { Problem } from "../live/problem.ts";

/** The highest number a domain can have (DOMID_FIRST_RESERVED - 1). */
const DOMID_MAX = 0x7fef;

/** Reads a domid. Throws Problem where it is none. */
export function domidOf(word: string): number {
  const domid = Number(word);
  if (!/^\d+$/.test(word) || domid > DOMID_MAX)
    throw new Problem(
      `a domain is named by its number, 0 to ${DOMID_MAX}, not ${word}`,
      "xenolith xl list",
      2,
    );
  return domid;
}
