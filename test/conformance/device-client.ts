// SPDX-License-Identifier: Apache-2.0
//
// A program on a host that does to Xen's device files what a test says, a system
// call at a time (device.c).

import { execFileSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { RealHost } from "./real-host.ts";

/** What a system call returned, by its errno's name where it failed, and the bytes it gave. */
export interface Called {
  readonly result: number | string;
  readonly bytes: Buffer;
}

export const PROT_READ = 1;
export const MAP_PRIVATE = 2;
const O_RDWR = 2;

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** The program. */
export class DeviceClient {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(host: RealHost) {
    const program = join(host.folder, "device");
    const source = join(import.meta.dirname, "device.c");
    execFileSync("gcc", ["-Wall", "-Werror", "-O1", "-o", program, source]);
    this.child = host.spawn(program);
    const { stdout } = this.child;
    if (stdout === null) throw new Error("the program's output is not a pipe");
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async #call(line: string): Promise<Called> {
    this.child.stdin?.write(`${line}\n`);
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`the program ended at: ${line}`);
    const [result = "", errno = "", hex = ""] = next.value.split(" ");
    return { result: errno === "-" ? Number(result) : errno, bytes: Buffer.from(hex, "hex") };
  }

  async open(path: string, flags = O_RDWR): Promise<number> {
    return this.#number(await this.#call(`open ${flags} ${path}`));
  }

  #number({ result }: Called): number {
    if (typeof result === "string") throw new Error(result);
    return result;
  }

  /** @param argument its bytes, which are there alone; null for an address where nothing is */
  ioctl(fd: number, number: number, argument: Uint8Array | DataView | null): Promise<Called> {
    const hex =
      argument === null ? "nowhere" : hexOf(argument instanceof DataView ? bytesIn(argument) : argument);
    return this.#call(`ioctl ${fd} ${number} ${hex}`);
  }

  async map(fd: number, pages: number, { prot = 3, flags = 1, offset = 0 } = {}): Promise<number | string> {
    return (await this.#call(`map ${fd} ${pages * 4096} ${prot} ${flags} ${offset}`)).result;
  }

  async unmap(address: number, pages: number): Promise<number | string> {
    return (await this.#call(`unmap ${address} ${pages * 4096}`)).result;
  }

  /** Memory of the program's own, zeros; its address. */
  async memory(bytes: number): Promise<number> {
    return this.#number(await this.#call(`memory ${bytes}`));
  }

  async poke(address: number, bytes: Uint8Array): Promise<void> {
    await this.#call(`poke ${address} ${hexOf(bytes)}`);
  }

  async peek(address: number, length: number): Promise<Buffer> {
    return (await this.#call(`peek ${address} ${length}`)).bytes;
  }

  async write(fd: number, bytes: Uint8Array): Promise<number | string> {
    return (await this.#call(`write ${fd} ${hexOf(bytes)}`)).result;
  }

  read(fd: number, length: number): Promise<Called> {
    return this.#call(`read ${fd} ${length}`);
  }

  /** The events of poll(2) that are there within some time, of POLLIN and POLLOUT. */
  async poll(fd: number, timeoutMs = 0): Promise<number | string> {
    return (await this.#call(`poll ${fd} ${timeoutMs}`)).result;
  }

  async close(fd: number): Promise<void> {
    await this.#call(`close ${fd}`);
  }

  /** Ends it, as a program ends that has nothing more to do. */
  end(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.child.once("close", () => resolve()));
    this.child.stdin?.end();
    return closed;
  }
}

function bytesIn(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
