// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of accepted sockets, which Node does not tell, as the system tells
// them; and how two sockets of Node on one descriptor are closed.

import { closeSync, fstatSync, openSync } from "node:fs";
import { openDescriptors } from "./descriptors.ts";

/** What the system says about the descriptors of this process. */
export interface DescriptorTable {
  /** How many are open; 0 where it does not say. */
  count(): number;
  /** Inode of a socket, 0 for anything else, undefined where there is no such descriptor. */
  inode(fd: number): number | undefined;
  /** Opens something that harms nobody, with the lowest number that is free; null where there can be no more. */
  open(): number | null;
  close(fd: number): void;
}

const ofProcess: DescriptorTable = {
  count: openDescriptors,
  inode: (fd) => {
    try {
      const stats = fstatSync(fd);
      return stats.isSocket() ? stats.ino : 0;
    } catch {
      return undefined;
    }
  },
  open: () => {
    try {
      return openSync("/dev/null", "r");
    } catch {
      return null;
    }
  },
  close: closeSync,
};

/** So many descriptors may be closed by other threads while one is looked for. */
const CLOSED_MEANWHILE_MAX = 8;

/**
 * The descriptors of this process: `ours`, which nobody else closes, and all others.
 *
 * A socket that was accepted just now has the lowest number that was free. So its
 * number is less than the number of descriptors that are open, or would be had
 * other threads not closed some meanwhile (this one has done nothing else). All
 * those numbers are looked at that are not ours. The socket is among them, and nobody
 * has seen it before: where exactly one socket is new, it is the one. Where two
 * are, as when somebody else has opened one since the last look, nothing is said.
 */
export class AcceptedDescriptors {
  readonly #table: DescriptorTable;
  readonly #ours: (boolean | undefined)[] = [];
  /** What was there when others were looked at last, by number, as `DescriptorTable` tells it. */
  readonly #seen: (number | undefined)[] = [];
  /** Opened to have a number taken; closed soon. */
  #fillers: number[] = [];

  constructor(table: DescriptorTable = ofProcess) {
    this.#table = table;
    this.#lookAtOthers();
  }

  /**
   * The descriptor of the socket that a server has accepted just now, in whose
   * callback this has to be called first; null where it is not certain. It is ours
   * until `closeBoth` or `giveUp`. Costs as much as there are descriptors that are
   * not: a process has some twenty.
   */
  accepted(): number | null {
    const [fd, ...more] = this.#lookAtOthers();
    if (fd === undefined || more.length > 0) return null;
    this.#setOurs(fd, true);
    return fd;
  }

  /** It is one like any other: only its own socket uses it. */
  giveUp(fd: number): void {
    this.#setOurs(fd, false);
    this.#isNewSocket(fd);
  }

  /**
   * Closes a descriptor that two sockets of Node use, each of which closes it.
   * Between the two its number must not become anybody else's, so it is taken.
   *
   * @param first closes it, now or soon
   * @param second closes it again, and has not done anything else with it
   * @param later calls back after a while: the number is somebody else's now
   */
  closeBoth(fd: number, first: () => void, second: () => void, later: (again: () => void) => void): void {
    first();
    this.#setOurs(fd, false);
    this.#closeSecond(fd, second, later);
  }

  #closeSecond(fd: number, second: () => void, later: (again: () => void) => void): void {
    if (this.#fill(fd)) second();
    else later(() => this.#closeSecond(fd, second, later));
  }

  /**
   * Has a number taken by something that harms nobody when it is closed; false
   * where somebody else has it. Numbers below that were free stay taken for a
   * moment: where many sockets are closed each of them is taken only once.
   */
  #fill(fd: number): boolean {
    for (;;) {
      const opened = this.#table.open();
      if (opened === fd) return true;
      if (opened === null) return false;
      if (this.#fillers.length === 0) setImmediate(() => this.#dropFillers());
      this.#fillers.push(opened);
      this.#setOurs(opened, true);
      if (opened > fd) return false;
    }
  }

  #dropFillers(): void {
    for (const fd of this.#fillers) {
      this.#table.close(fd);
      this.#setOurs(fd, false);
    }
    this.#fillers = [];
  }

  #setOurs(fd: number, ours: boolean): void {
    while (this.#ours.length <= fd) this.#ours.push(undefined);
    this.#ours[fd] = ours;
  }

  /** Sockets that are new. */
  #lookAtOthers(): number[] {
    const count = this.#table.count();
    const found: number[] = [];
    if (count === 0) return found;
    for (let fd = 0; fd < count + CLOSED_MEANWHILE_MAX; fd++)
      if (this.#ours[fd] !== true && this.#isNewSocket(fd)) found.push(fd);
    return found;
  }

  #isNewSocket(fd: number): boolean {
    const before = this.#seen[fd];
    const inode = this.#table.inode(fd);
    while (this.#seen.length <= fd) this.#seen.push(undefined);
    this.#seen[fd] = inode;
    return inode !== undefined && inode !== 0 && inode !== before;
  }
}
