// SPDX-License-Identifier: Apache-2.0
//
// CONTROL quota and quota-soft: the limits, what each domain holds, and since
// 4.20 the most that was ever seen of each.

import { fail, type Failure } from "../engine/errno.ts";
import { holdings } from "./accounting.ts";
import { knownDomains } from "./domain.ts";
import type { Store } from "./ports.ts";
import { maximumOf, resetMaxima, setLimit, settingsOf, traitsOf } from "./quota.ts";
import { QUOTAS, QUOTAS_4_17, type QuotaName, SOFT_MEMORY, SOFT_MEMORY_4_17 } from "./quota-names.ts";
import { atoi, OK } from "./request.ts";

function isOld(store: Store): boolean {
  return traitsOf(store.cells).control === "4.17";
}

/** Without arguments the limits; `set NAME VALUE`; `max [-r]`; or a domid. */
export function quota(store: Store, args: readonly string[]): string | Failure {
  const names = isOld(store) ? QUOTAS_4_17 : QUOTAS;
  const [what, ...rest] = args;
  if (what === undefined) return settings(store, names);
  if (what === "set") return set(store, rest, names);
  if (what === "max" && !isOld(store)) return maxima(store, rest);
  return rest.length === 0 ? quotaOf(store, atoi(what)) : fail("EINVAL");
}

/** Without arguments the soft limits; `set NAME VALUE`. */
export function quotaSoft(store: Store, args: readonly string[]): string | Failure {
  const names = [isOld(store) ? SOFT_MEMORY_4_17 : SOFT_MEMORY];
  const [what, ...rest] = args;
  if (what === undefined) return settings(store, names);
  return what === "set" ? set(store, rest, names) : fail("EINVAL");
}

function settings(store: Store, names: readonly QuotaName[]): string {
  const { limits } = settingsOf(store.cells);
  const lines = names.map(
    ({ name, limit, text }) => `${name.padEnd(17)}: ${String(limits[limit]).padStart(8)} ${text}\n`,
  );
  return `Quota settings:\n${lines.join("")}\0`;
}

function set(store: Store, args: readonly string[], names: readonly QuotaName[]): string | Failure {
  const [name, text] = args;
  const known = names.find((quotaName) => quotaName.name === name);
  const value = args.length === 2 ? atoi(text as string) : 0;
  if (known === undefined || value < 1) return fail("EINVAL");
  setLimit(store.cells, known.limit, value);
  return OK;
}

/** What a known domain holds (domain_get_quota). ENOENT for an unknown one. */
function quotaOf(store: Store, domid: number): string | Failure {
  const { cells } = store;
  if (!knownDomains(cells).includes(domid)) return fail("ENOENT");
  const held = holdings(cells, domid);
  const counts = new Map<string, number>(Object.entries(held));
  const value = ({ limit }: QuotaName): number => counts.get(limit) ?? 0;
  const lines = isOld(store)
    ? Object.entries(held).map(([name, count]) => `${name.padEnd(16)}: ${String(count).padStart(8)}\n`)
    : QUOTAS.map((name) => {
        const most = Math.max(value(name), maximumOf(cells, name.limit, domid));
        return `${name.name.padEnd(17)}: ${String(value(name)).padStart(8)} (max ${String(most).padStart(8)})\n`;
      });
  return `Domain ${domid}:\n${lines.join("")}\0`;
}

function maxima(store: Store, args: readonly string[]): string | Failure {
  const { cells } = store;
  if (args.length > 1 || (args.length === 1 && args[0] !== "-r")) return fail("EINVAL");
  if (args.length === 1) resetMaxima(cells, knownDomains(cells));
  const lines = QUOTAS.map(
    ({ name, limit }) => `${name.padEnd(17)}: ${String(maximumOf(cells, limit)).padStart(8)}\n`,
  );
  return `Max. seen accounting values:\n${lines.join("")}\0`;
}
