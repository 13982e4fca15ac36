// SPDX-License-Identifier: Apache-2.0
//
// A process that makes calls: its name and its memory. Hypercalls hand over
// addresses; what is there is read and written through /proc.

import * as fs from "node:fs";
import { fail } from "../../core/engine/errno.ts";
import type { Failure } from "../../core/engine/errno.ts";

/** Highest address a program on x86-64 can have anything at. */
const ADDRESS_MAX = 2 ** 47;

/** A process outside, by its memory as it was when it first called: not that of a program it executes later. */
export class CallerProcess {
  readonly pid: number;
  /** The domain whose process it is. */
  readonly domid: number;
  /** Its command and its pid, as ledgers and logs name it: "xl.166". */
  readonly name: string;
  /** Descriptor of /proc/PID/mem, -1 once closed. */
  #memory: number;

  private constructor(pid: number, domid: number, name: string, memory: number) {
    this.pid = pid;
    this.domid = domid;
    this.name = name;
    this.#memory = memory;
  }

  /** The process of that pid; EPERM where its memory is not for us, ESRCH where there is none. */
  static open(pid: number, domid: number): CallerProcess | Failure {
    try {
      const command = fs
        .readFileSync(`/proc/${pid}/comm`, "utf8")
        .trimEnd()
        .replaceAll(/[^\w.+-]/g, "_");
      return new CallerProcess(pid, domid, `${command}.${pid}`, fs.openSync(`/proc/${pid}/mem`, "r+"));
    } catch (error) {
      return fail((error as NodeJS.ErrnoException).code === "ENOENT" ? "ESRCH" : "EPERM");
    }
  }

  /** `length` bytes from an address; EFAULT where they are not all there. */
  read(address: number, length: number): Uint8Array | Failure {
    if (this.#memory < 0 || address < 0 || address + length > ADDRESS_MAX) return fail("EFAULT");
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      try {
        const count = fs.readSync(this.#memory, bytes, done, length - done, address + done);
        if (count <= 0) return fail("EFAULT");
        done += count;
      } catch {
        return fail("EFAULT");
      }
    }
    return bytes;
  }

  /** Writes bytes to an address; EFAULT where not all of them can be. */
  write(address: number, bytes: Uint8Array): 0 | Failure {
    if (this.#memory < 0 || address < 0 || address + bytes.length > ADDRESS_MAX) return fail("EFAULT");
    for (let done = 0; done < bytes.length;) {
      try {
        const count = fs.writeSync(this.#memory, bytes, done, bytes.length - done, address + done);
        if (count <= 0) return fail("EFAULT");
        done += count;
      } catch {
        return fail("EFAULT");
      }
    }
    return 0;
  }

  /** Whether the process maps files of a folder, as the kernel says. */
  maps(folder: string): boolean {
    try {
      return fs.readFileSync(`/proc/${this.pid}/maps`, "latin1").includes(`${folder}/`);
    } catch {
      return false;
    }
  }

  /** From here on nothing of its memory can be reached. */
  close(): void {
    if (this.#memory >= 0) fs.closeSync(this.#memory);
    this.#memory = -1;
  }
}
