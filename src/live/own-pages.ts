// SPDX-License-Identifier: Apache-2.0
//
// Pages that no process maps are the host's alone: nobody else can change them or
// sees what they hold. Those that are looked at again and again, rings above all,
// whose every request is a dozen looks and writes of a few bytes, are kept here
// and not in their file, until somebody maps them.

const PAGE_BYTES = 4096;
/** So many are kept: 4 MiB. */
const PAGES_MAX = 1024;

interface OwnPage {
  readonly bytes: Uint8Array;
  /** Whether the file does not have what was written. */
  changed: boolean;
}

/** Pages kept out of their files, by frame. */
export class OwnPages {
  readonly #pages = new Map<number, OwnPage>();
  readonly #write: (mfn: number, bytes: Uint8Array) => void;

  /** @param write writes a whole page to its file */
  constructor(write: (mfn: number, bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** A copy of `length` bytes of a page that is kept; undefined where it is not. */
  read(mfn: number, offset: number, length: number): Uint8Array | undefined {
    return this.#pages.get(mfn)?.bytes.slice(offset, offset + length);
  }

  /** Writes to a page that is kept; false where it is not. */
  write(mfn: number, offset: number, bytes: Uint8Array): boolean {
    const page = this.#pages.get(mfn);
    if (page === undefined) return false;
    page.bytes.set(bytes, offset);
    page.changed = true;
    return true;
  }

  /** Keeps a page as its file has it. The one that came first makes room. */
  keep(mfn: number, bytes: Uint8Array): void {
    if (this.#pages.size >= PAGES_MAX) {
      const [oldest] = this.#pages.keys();
      if (oldest !== undefined) this.giveBack(oldest, 1);
    }
    this.#pages.set(mfn, { bytes, changed: false });
  }

  /** Frames are others' now: their files hold what they do. */
  giveBack(mfn: number, count: number): void {
    for (const at of this.#among(mfn, count)) {
      const { bytes, changed } = this.#pages.get(at) as OwnPage;
      if (changed) this.#write(at, bytes);
      this.#pages.delete(at);
    }
  }

  /** Nobody wants to know what frames held. */
  forget(mfn: number, count: number): void {
    for (const at of this.#among(mfn, count)) this.#pages.delete(at);
  }

  /** Those of a run of frames that are kept. */
  #among(mfn: number, count: number): number[] {
    const pages = this.#pages;
    if (count > pages.size) return [...pages.keys()].filter((at) => at >= mfn && at < mfn + count);
    const found: number[] = [];
    for (let at = mfn; at < mfn + count; at++) if (pages.has(at)) found.push(at);
    return found;
  }
}

/** An empty page. */
export function emptyPage(): Uint8Array {
  return new Uint8Array(PAGE_BYTES);
}
