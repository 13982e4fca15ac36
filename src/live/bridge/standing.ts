// SPDX-License-Identifier: Apache-2.0
//
// Answers that stand until the host takes a step: libxendev may give them by itself
// (native/xendev/standing.c). What stands is counted in a file that processes map:
// with another count nothing of what was said before stands any more.

import * as fs from "node:fs";
import * as path from "node:path";
import type { World } from "../../core/engine/world.ts";

/** Which answers stand, in a bridge's folder. */
export class StandingAnswers {
  readonly #fd: number;
  readonly #told = new BigUint64Array(1);
  #count = 1;
  /** Somebody may hold an answer to be true that was given with this count. */
  #given = false;

  constructor(folder: string) {
    this.#fd = fs.openSync(path.join(folder, "standing"), "w+", 0o644);
    this.#tell();
  }

  /** Sees to it that nothing stands once the world takes a step. */
  follow(world: World): void {
    const before = world.onStep;
    world.onStep = (record) => {
      this.end();
      before?.(record);
    };
  }

  /** The count for an answer that is given now. */
  give(): number {
    this.#given = true;
    return this.#count;
  }

  /** From here on none of the answers that were given stands. */
  end(): void {
    if (!this.#given) return;
    this.#given = false;
    this.#count++;
    this.#tell();
  }

  close(): void {
    this.end();
    fs.closeSync(this.#fd);
  }

  #tell(): void {
    this.#told[0] = BigInt(this.#count);
    fs.writeSync(this.#fd, this.#told, 0, 8, 0);
  }
}
