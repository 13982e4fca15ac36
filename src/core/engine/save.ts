// SPDX-License-Identifier: Apache-2.0
//
// A whole host as text, and back. What was saved goes on exactly as the host it
// was saved from.

import { cellTypes } from "./cells.ts";
import type { CellId, Plain } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Hash } from "./hash.ts";
import { canonicalText, parsePlain, stringifyPlain } from "./plain.ts";
import { World } from "./world.ts";
import type { WorldCounters, WorldOptions } from "./world.ts";

interface Saved {
  format: "xenolith-host";
  version: 1;
  counters: WorldCounters;
  cells: [type: string, id: CellId, content: Plain][];
}

/** The host as text. Costs what the host holds. */
export function saveWorld(world: World): string {
  const cells: Saved["cells"] = [];
  for (const { type, id, content } of world.entries()) cells.push([type.name, id, content as Plain]);
  const saved: Saved = { format: "xenolith-host", version: 1, counters: world.counters, cells };
  return stringifyPlain(saved as unknown as Plain);
}

/** The host a text was saved from. Throws where the text is not such a save, or names unknown cells. */
export function loadWorld(text: string, options: WorldOptions = {}): World {
  const saved = parsePlain(text) as unknown as Saved;
  assert(saved.format === "xenolith-host" && saved.version === 1, "not a saved host of version 1");
  const types = new Map(cellTypes().map((type) => [type.name, type]));
  const world = new World(options);
  world.boot(() => {
    for (const [name, id, content] of saved.cells) {
      const type = types.get(name);
      assert(type !== undefined, `saved host has cells of unknown type ${name}`);
      world.add(type, id, content as object);
    }
  });
  Object.assign(world.counters, saved.counters);
  return world;
}

/** A second host that goes on as the first would. */
export function cloneWorld(world: World, options: WorldOptions = {}): World {
  return loadWorld(saveWorld(world), { tracking: world.tracking, ...options });
}

/** One line a cell, without provenance: equal for equal states. For comparing and for people. */
export function canonicalHost(world: World): string {
  const lines: string[] = [`now ${world.now}`];
  for (const { type, id, content } of world.entries()) {
    lines.push(`${type.name}/${id} ${canonicalText(content as Plain, type.provenance)}`);
  }
  return lines.join("\n");
}

/**
 * Finds cells that changed behind the registry's back: the incremental hash
 * against one counted anew. Returns a sentence, or null where all is well.
 */
export function checkHash(world: World): string | null {
  const kept: Hash = world.hashAt(world.now);
  const full: Hash = world.fullHashAt(world.now);
  if (kept.a === full.a && kept.b === full.b) return null;
  const changed = world.changedBehindBack();
  return `hash differs from the full one: ${changed.join(", ") || "no single cell is to blame"} changed without edit`;
}
