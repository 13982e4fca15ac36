// SPDX-License-Identifier: Apache-2.0
//
// xenstore's tree and values as text for people.

import { isUtf8 } from "node:buffer";
import { type XenstoreClient, XenstoreError } from "../client/index.ts";

/** A node as it is listed. Values are latin1 strings, a character a byte. */
export interface ListedNode {
  path: string;
  /** How far below the path that was asked for: 0 for its children. */
  depth: number;
  value: string;
  perms?: string[];
}

/** Paths of nodes above and below. */
export const childPath = {
  of: (path: string, name: string): string => (path === "/" ? `/${name}` : `${path}/${name}`),
  /** A path without a slash is one below domain 0's own node, for who asks as domain 0. */
  parent: (path: string): string =>
    path.includes("/") ? path.slice(0, Math.max(1, path.lastIndexOf("/"))) : "/local/domain/0",
};

/**
 * Everything below a path, children in xenstore's order. A node that goes away
 * meanwhile is left out; the path itself must exist.
 */
export async function listing(
  client: XenstoreClient,
  path: string,
  withPerms: boolean,
  depth = 0,
): Promise<ListedNode[]> {
  const names = await client.directory(path);
  const parts = await Promise.all(
    names.map(async (name): Promise<ListedNode[]> => {
      const child = childPath.of(path, name);
      try {
        const [value, perms] = await Promise.all([
          client.read(child),
          withPerms ? client.getPerms(child) : undefined,
        ]);
        const node: ListedNode = { path: child, depth, value, ...(perms === undefined ? {} : { perms }) };
        return [node, ...(await listing(client, child, withPerms, depth + 1))];
      } catch (error) {
        if (error instanceof XenstoreError && error.code === "ENOENT") return [];
        throw error;
      }
    }),
  );
  return parts.flat();
}

const ESCAPES: { readonly [char: string]: string } = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\" };

function escaped(char: string): string {
  return ESCAPES[char] ?? `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
}

/** A value (latin1 string) so that it fits on a line: control characters, and bytes that are no text, as `\ooo`. */
export function readable(value: string): string {
  const bytes = Buffer.from(value, "latin1");
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  if (isUtf8(bytes)) return bytes.toString("utf8").replaceAll(/[\u0000-\u001f\u007f\\]/g, escaped);
  // eslint-disable-next-line no-control-regex -- see above
  return value.replaceAll(/[^\u0020-\u007e]|\\/g, escaped);
}

/** A node as `store ls` prints it: its path, whole or in part, and its value. */
export function nodeLine(name: string, value: string): string {
  return `${name} = "${readable(value)}"`;
}
