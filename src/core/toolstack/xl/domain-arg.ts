// SPDX-License-Identifier: Apache-2.0
//
// Which domain or CPU pool a user means (tools/libs/light/libxl_utils.c,
// libxl_domain_qualifier_to_domid; tools/xl/xl_utils.c, find_domain).

import { strtol, uint32 } from "../xlcfg/strtol.ts";

/**
 * The number in a word of digits alone. xl takes it as it is: whether there is
 * such a domain shows when something is done with it. null for a name.
 */
export function idOf(word: string): number | null {
  return /^[0-9]+$/.test(word) ? uint32(strtol(word, 10).value) : null;
}

/** The domid a word names, by number or by the name of a domain that exists; null when there is none. */
export function resolveDomain(
  word: string,
  domains: Iterable<{ domid: number; name: string | null }>,
): number | null {
  const id = idOf(word);
  if (id !== null) return id;
  for (const { domid, name } of domains) if (name === word) return domid;
  return null;
}

/** What xl domname makes of its argument: a number, or null when it does not begin with one. */
export function parseDomid(text: string): number | null {
  const { value, end } = strtol(text, 10);
  return end === 0 ? null : uint32(value);
}
