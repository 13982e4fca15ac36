// SPDX-License-Identifier: Apache-2.0
//
// The file descriptors of the daemon. When there are none left the system's
// library takes clients and closes them at once, and nobody is told: so the
// operator is told here, while the last ones are given out.

import { readdirSync, readFileSync, statSync } from "node:fs";

const FOLDER = "/proc/self/fd";

/** How many are open; 0 where the system does not say. */
export function openDescriptors(): number {
  const stats = statSync(FOLDER, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  // Since Linux 6.2 its size is their number. Before, they have to be listed, which costs more the more there
  // are, and takes one itself.
  return stats.size > 0 ? stats.size : readdirSync(FOLDER).length - 1;
}

/** How many it may have, and how many it has; null where the system does not say. */
export function descriptors(): { readonly max: number; readonly open: number } | null {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const max = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
    const open = openDescriptors();
    return open === 0 ? null : { max, open };
  } catch {
    return null;
  }
}

/** With fewer than these left it is time to say so. */
const FEW = 8;
/** When so much of the clients are left it is over, and will be told again. */
const BETTER = 0.9;

/** Looks at how many are left as clients come. */
export class DescriptorWatch {
  readonly #warn: (text: string) => void;
  readonly #look: typeof descriptors;
  /** Clients up to which nothing needs to be looked at. */
  #enough = 0;
  /** Clients there were when it was told; null where nothing is to be told. */
  #toldAt: number | null = null;

  constructor(warn: (text: string) => void, look: typeof descriptors = descriptors) {
    this.#warn = warn;
    this.#look = look;
  }

  /** A client has come, and there are so many now. */
  accepted(clients: number): void {
    if (this.#toldAt !== null) {
      if (clients >= this.#toldAt * BETTER) return;
      this.#toldAt = null;
      this.#enough = clients;
    }
    if (clients < this.#enough) return;
    const now = this.#look();
    const left = now === null ? Infinity : now.max - now.open;
    // They are not counted at every client: half of what is left may come unseen.
    this.#enough = clients + Math.ceil(left / 2);
    if (now === null || left >= FEW) return;
    this.#toldAt = clients;
    this.#warn(
      `${clients} clients are connected, and the process may have ${now.max} file descriptors (ulimit -n, ` +
        "systemd's LimitNOFILE=): further clients are turned away",
    );
  }
}
