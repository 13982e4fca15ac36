// SPDX-License-Identifier: Apache-2.0
//
// Node paths: which are valid, and how they are taken apart. Paths are latin1
// strings, absolute once a request has been accepted.

const SLASH = 0x2f;
const AT = 0x40;

/** Where the last `/` is. Names are short: a loop is over before the engine's own search is called. */
function lastSlash(path: string): number {
  let at = path.length - 1;
  while (at >= 0 && path.charCodeAt(at) !== SLASH) at--;
  return at;
}

/** Paths whose parent was asked for lately, of each length modulo NEAR the last, and those parents. */
const NEAR = 8;
const near: string[] = Array.from({ length: NEAR }, () => "");
const nearParents: string[] = Array.from({ length: NEAR }, () => "/");

/**
 * The path above; "/" is its own parent (get_parent in xenstored_core.c). While a
 * request is answered it is the same string each time, which who looks it up knows
 * at a glance.
 */
export function parentOf(path: string): string {
  const at = path.length % NEAR;
  if (near[at] === path) return nearParents[at] as string;
  const slash = lastSlash(path);
  const parent = slash <= 0 ? "/" : path.slice(0, slash);
  near[at] = path;
  nearParents[at] = parent;
  return parent;
}

/** The last component. Not for "/". */
export function nameOf(path: string): string {
  return path.slice(lastSlash(path) + 1);
}

/** The path of a child. */
export function childPath(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

/** Whether the path names a special watch (`@introduceDomain`, ...). */
export function isSpecial(path: string): boolean {
  return path.charCodeAt(0) === AT;
}

/** The directory of a domain: what its relative paths are relative to. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** Characters a node name may have, `/` apart: letters, digits, `-` `_` `@`. */
const nameCharacters = new Uint8Array(256);
for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_@") {
  nameCharacters[c.charCodeAt(0)] = 1;
}

/**
 * How many bytes of a path the limit on its length is about: not those of a
 * leading `/local/domain/<domid>/`. -1 where it cannot name a node
 * (is_valid_nodename in xenstored_core.c): it starts with `/`, has no empty
 * component, and only allowed characters.
 */
export function limitedLength(path: string): number {
  if (path.charCodeAt(0) !== SLASH) return -1;
  if (path.length === 1) return 1;
  let componentEmpty = true;
  for (let i = 1; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === SLASH) {
      if (componentEmpty) return -1;
      componentEmpty = true;
    } else {
      if (nameCharacters[c] !== 1) return -1;
      componentEmpty = false;
    }
  }
  return componentEmpty ? -1 : path.length - domainPrefixLength(path);
}

/** Bytes of a leading `/local/domain/<up to five digits>/`, else 0. */
function domainPrefixLength(path: string): number {
  const start = "/local/domain/".length;
  if (!path.startsWith("/local/domain/")) return 0;
  let end = start;
  while (end < start + 5 && path.charCodeAt(end) >= 0x30 && path.charCodeAt(end) <= 0x39) end++;
  return end > start && path.charCodeAt(end) === SLASH ? end + 1 : 0;
}
