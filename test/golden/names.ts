// SPDX-License-Identifier: Apache-2.0
//
// Identifiers that two runs need not share get names that they do share. The
// same identifier always gets the same name and two never share one, so that
// mixing up two domains, rings or ports still shows.

import type { Call, Recording } from "./recording.ts";

/** Domids go round from 1 to 32751 (DOMID_FIRST_RESERVED 0x7ff0 less one, as 4.17 counts). */
const DOMIDS = 32751;

export interface Names {
  /** `D1` for the first domain that Xen chose a domid for, `D2` for the next domid, …; others as they are. */
  domid(domid: number | string): string;
  uuid(uuid: string): string;
  /** A name for `id`, stable within `kind`: `kind1`, `kind2`, … by first use. */
  nth(kind: string, id: string): string;
}

/** Names for one recording. */
export function namesOf(recording: Recording): Names {
  const chosen = chosenDomids(recording);
  const first = chosen.values().next().value ?? 0;
  const known = new Map<string, string>();
  const counts = new Map<string, number>();
  const nth = (kind: string, id: string): string => {
    const key = `${kind} ${id}`;
    let name = known.get(key);
    if (name === undefined) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      name = `${kind}${counts.get(kind)}`;
      known.set(key, name);
    }
    return name;
  };
  return {
    domid: (domid) =>
      chosen.has(Number(domid)) ? `D${((Number(domid) - first + DOMIDS) % DOMIDS) + 1}` : String(domid),
    uuid: (uuid) => (/^[0-]*$/.test(uuid) ? uuid : nth("UUID", uuid.replaceAll("-", ""))),
    nth,
  };
}

/** Domids Xen chose itself, in that order. */
export function chosenDomids(recording: Recording): Set<number> {
  const created = recording.processes
    .flatMap((process) => process.calls)
    .filter((call) => call.name === "domctl createdomain" && call.result === 0)
    .sort((a, b) => a.time - b.time);
  return new Set(created.filter(isChosenByXen).map((call) => Number(/domid=(\d+)/.exec(call.out)![1])));
}

/** createdomain takes an explicit domid, or anything outside 1..32751 for "choose one". */
export function isChosenByXen(call: Call): boolean {
  if (call.name !== "domctl createdomain") return false;
  const asked = Number(call.args["dom"]);
  return asked === 0 || asked > DOMIDS;
}

/** Xen's range, but for the ones that the scenarios' configuration files give. */
const MAC = /\b00:16:3e:(?!00:)[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}\b/g;

const UUID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

/** Replaces domids in xenstore paths, UUIDs, and MAC addresses that libxl draws, anywhere in a text. */
export function renamePaths(names: Names, text: string): string {
  return text
    .replace(UUID, (uuid) => names.uuid(uuid))
    .replace(MAC, (mac) => names.nth("MAC", mac))
    .replace(
      /(\/local\/domain\/|\/libxl\/|\bbackend\/[a-z0-9_]+\/)(\d+)\b/g,
      (_, before: string, domid: string) => before + names.domid(domid),
    );
}

/** `n0`, `r2`, … with their domids renamed. */
export function renamePermission(names: Names, permission: string): string {
  return permission.slice(0, 1) + names.domid(permission.slice(1));
}

/**
 * Renames a node's value: what it identifies follows from the node's path.
 * `owner` is the domain that a relative path is relative to.
 */
export function renameValue(names: Names, path: string, value: string, owner: string): string {
  const leaf = path.split("/").at(-1)!;
  const domain = /\/local\/domain\/([^/]+)/.exec(renamePaths(names, path))?.[1] ?? owner;
  if (leaf === "domid" || leaf === "frontend-id" || leaf === "backend-id") return names.domid(value);
  const number = /^\d+$/.test(value);
  if (number && /\/(store|console)\/ring-ref$/.test(path)) return names.nth(`${domain}:frame`, value);
  if (number && /(^|\/)device\/.*ring-ref\d*$/.test(path)) return names.nth(`${domain}:ref`, value);
  if (number && /(^|\/)device\/.*\/event-channel(-[tr]x)?$/.test(path))
    return names.nth(`${domain}:port`, value);
  if (leaf === "start_time") return value.replace(/^\d+\.\d\d$/, "TIME");
  if (leaf === "tty")
    return value.replace(/^\/dev\/pts\/(\d+)$/, (_, pts: string) => `/dev/pts/${names.nth("pts", pts)}`);
  if (domain === "0" && /(^|\/)memory\/(target|static-max)$/.test(path))
    return value.replace(/^\d+$/, "MACHINE");
  return renamePaths(names, value);
}
