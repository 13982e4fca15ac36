// SPDX-License-Identifier: Apache-2.0
//
// Bytes of the migration stream to records. Nothing in them is trusted: every
// length is held against the record it is in, every record against the stream.

import {
  DOMID_INVALID,
  type QuotaValue,
  RECORD,
  RECORD_HEADER_SIZE,
  STREAM_HEADER_SIZE,
  STREAM_IDENT,
  type PermRecord,
  type StreamProblem,
  type StreamRecord,
  type StreamVersion,
  type WatchLayout,
} from "./stream.ts";
import { readLatin1 } from "./wire.ts";

/** What a record that makes no sense is reported as, internally. */
class Nonsense extends Error {}

function nonsense(what: string): never {
  throw new Nonsense(what);
}

/** Reads a stream record by record. */
export class StreamReader {
  readonly version: StreamVersion;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #layout: WatchLayout;
  #at: number;

  private constructor(
    bytes: Uint8Array,
    at: number,
    version: StreamVersion,
    little: boolean,
    layout: WatchLayout,
  ) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = at;
    this.version = version;
    this.#little = little;
    this.#layout = layout;
  }

  /** Reads the header. */
  static open(bytes: Uint8Array, layout: WatchLayout): StreamReader | StreamProblem {
    if (bytes.length < STREAM_HEADER_SIZE)
      return { problem: "no header: the stream is too short", offset: 0 };
    if (readLatin1(bytes, 0, 8) !== STREAM_IDENT) return { problem: "not a xenstore stream", offset: 0 };
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const version = view.getUint32(8);
    if (version !== 1 && version !== 2)
      return { problem: `version ${version} of the stream is not known`, offset: 8 };
    const flags = view.getUint32(12);
    if (flags > 1) return { problem: `flags ${flags} of the stream are not known`, offset: 12 };
    return new StreamReader(bytes, STREAM_HEADER_SIZE, version, flags === 0, layout);
  }

  /** Records without a header before them or an END behind: little-endian, version 2, as the document lays them out. */
  static bare(bytes: Uint8Array): StreamReader {
    return new StreamReader(bytes, 0, 2, true, "document");
  }

  /** Where the next record begins. */
  get offset(): number {
    return this.#at;
  }

  /** Whether all bytes are read. */
  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The next record, `end` at the END record, or what is wrong; a problem does not go away. */
  next(): StreamRecord | "end" | StreamProblem {
    const offset = this.#at;
    const start = offset + RECORD_HEADER_SIZE;
    if (start > this.#bytes.length) return { problem: "the stream ends without an END record", offset };
    const type = this.#u32(offset);
    const length = this.#u32(offset + 4);
    if (type === RECORD.END) return "end";
    if (length > this.#bytes.length - start) {
      return { problem: `a record of ${length} bytes reaches past the end of the stream`, offset };
    }
    // Real xenstored's lengths count the padding; the document's need not.
    const end = Math.min(this.#bytes.length, start + align8(length));
    try {
      const { record, bytes } = this.#body(type, start, start + length);
      this.#at = bytes === undefined ? end : Math.min(this.#bytes.length, start + align8(bytes));
      return record;
    } catch (error) {
      if (!(error instanceof Nonsense)) throw error;
      return { problem: error.message, offset };
    }
  }

  /** A record's content; `bytes` where it is not as long as it says. */
  #body(type: number, at: number, end: number): { record: StreamRecord; bytes?: number } {
    switch (type) {
      case RECORD.GLOBAL_DATA:
        need(at + 8 <= end, "GLOBAL_DATA is too short");
        return {
          record: {
            type: "global",
            socketFd: this.#view.getInt32(at, this.#little),
            evtchnFd: this.#view.getInt32(at + 4, this.#little),
          },
        };
      case RECORD.CONNECTION_DATA:
        return { record: this.#connection(at, end) };
      case RECORD.WATCH_DATA:
        need(at + 8 <= end, "WATCH_DATA is too short");
        return { record: this.#watch(at, at + 8, end, -1) };
      case RECORD.WATCH_DATA_EXTENDED:
        return this.#watchExtended(at, end);
      case RECORD.TRANSACTION_DATA:
        need(at + 8 <= end, "TRANSACTION_DATA is too short");
        return { record: { type: "transaction", connId: this.#u32(at), txId: this.#u32(at + 4) } };
      case RECORD.NODE_DATA:
        return { record: this.#node(at, end) };
      case RECORD.GLOBAL_QUOTA_DATA:
        return { record: this.#globalQuota(at, end) };
      case RECORD.DOMAIN_DATA:
        return { record: this.#domain(at, end) };
      case RECORD.OWN:
        return { record: this.#own(at, end) };
      default:
        return { record: { type: "unknown", number: type, body: this.#copy(at, end) } };
    }
  }

  #connection(at: number, end: number): StreamRecord {
    need(at + 24 <= end, "CONNECTION_DATA is too short");
    const kind = this.#u16(at + 4);
    const fields = this.#u16(at + 6);
    if (kind > 1) nonsense(`connection type ${kind} is not known`);
    const inputEnd = at + 24 + this.#u16(at + 16);
    const partial = this.#u16(at + 18);
    const outputEnd = inputEnd + this.#u32(at + 20);
    const uniqueAt = at + align8(outputEnd - at);
    const uniquePresent = (fields & 1) !== 0;
    need(outputEnd <= end, "the buffered data of a connection reach past its record");
    need(partial <= outputEnd - inputEnd, "a partial response is longer than the data it is in");
    need(!uniquePresent || uniqueAt + 8 <= end, "the unique id of a connection reaches past its record");
    const target = this.#u16(at + 10);
    return {
      type: "connection",
      connId: this.#u32(at),
      spec:
        kind === 0
          ? {
              kind: "ring",
              domid: this.#u16(at + 8),
              target: target === DOMID_INVALID ? null : target,
              evtchn: this.#u32(at + 12),
            }
          : { kind: "socket", fd: this.#view.getInt32(at + 8, this.#little) },
      input: this.#copy(at + 24, inputEnd),
      output: this.#copy(inputEnd, outputEnd),
      partial,
      uniqueId: uniquePresent ? this.#view.getBigUint64(uniqueAt, this.#little) : null,
    };
  }

  /** Whether NUL-terminated strings of a watch lie where `start` says, with no NUL inside. */
  #stringsAt(start: number, at: number, end: number): boolean {
    const pathEnd = start + this.#u16(at + 4);
    const tokenEnd = pathEnd + this.#u16(at + 6);
    if (pathEnd === start || tokenEnd === pathEnd || tokenEnd > end) return false;
    return this.#bytes.indexOf(0, start) === pathEnd - 1 && this.#bytes.indexOf(0, pathEnd) === tokenEnd - 1;
  }

  #watch(at: number, start: number, end: number, depth: number): StreamRecord {
    if (!this.#stringsAt(start, at, end))
      nonsense("the path or the token of a watch is not where it should be");
    const pathEnd = start + this.#u16(at + 4);
    const tokenEnd = pathEnd + this.#u16(at + 6);
    return {
      type: "watch",
      connId: this.#u32(at),
      path: readLatin1(this.#bytes, start, pathEnd - 1),
      token: readLatin1(this.#bytes, pathEnd, tokenEnd - 1),
      depth,
    };
  }

  #watchExtended(at: number, end: number): { record: StreamRecord; bytes?: number } {
    need(at + 12 <= end, "WATCH_DATA_EXTENDED is too short");
    const told = this.#u16(at + 8);
    const depth = told === 0xffff ? -1 : told;
    if (this.#layout === "document") return { record: this.#watch(at, at + 12, end, depth) };
    if (this.#stringsAt(at + 10, at, end)) return { record: this.#watch(at, at + 10, end, depth) };
    // What HEAD's dump_state_watches writes: no depth, and shorter than the length says.
    return {
      record: this.#watch(at, at + 8, end, -1),
      bytes: 8 + this.#u16(at + 4) + this.#u16(at + 6),
    };
  }

  #node(at: number, end: number): StreamRecord {
    need(at + 16 <= end, "NODE_DATA is too short");
    const pathLength = this.#u16(at + 8);
    const permCount = this.#u16(at + 14);
    const start = at + 16 + 4 * permCount;
    const pathEnd = start + pathLength;
    const valueEnd = pathEnd + this.#u16(at + 10);
    need(valueEnd <= end, "the path or the value of a node reaches past its record");
    need(
      pathLength > 1 && this.#bytes.indexOf(0, start) === pathEnd - 1,
      "the path of a node does not end where it should",
    );
    const perms: PermRecord[] = [];
    for (let entry = at + 16; entry < start; entry += 4) {
      const letter = String.fromCharCode(this.#bytes[entry] as number);
      if (!"nrwb".includes(letter)) nonsense(`a permission is none of n, r, w and b`);
      perms.push({
        letter,
        stale: ((this.#bytes[entry + 1] as number) & 1) !== 0,
        domid: this.#u16(entry + 2),
      });
    }
    return {
      type: "node",
      connId: this.#u32(at),
      txId: this.#u32(at + 4),
      path: readLatin1(this.#bytes, start, pathEnd - 1),
      value: readLatin1(this.#bytes, pathEnd, valueEnd),
      access: this.#u16(at + 12),
      perms,
    };
  }

  #globalQuota(at: number, end: number): StreamRecord {
    need(at + 4 <= end, "GLOBAL_QUOTA_DATA is too short");
    const perDomain = this.#u16(at);
    const quotas = this.#quotas(at + 4, perDomain + this.#u16(at + 2), end);
    return { type: "global-quota", perDomain: quotas.slice(0, perDomain), global: quotas.slice(perDomain) };
  }

  #domain(at: number, end: number): StreamRecord {
    need(at + 8 <= end, "DOMAIN_DATA is too short");
    return {
      type: "domain",
      domid: this.#u16(at),
      features: this.version >= 2 ? this.#u32(at + 4) : 0,
      quotas: this.#quotas(at + 8, this.#u16(at + 2), end),
    };
  }

  #quotas(at: number, count: number, end: number): QuotaValue[] {
    need(at + 4 * count <= end, "there are not as many quotas as a record says");
    const quotas: QuotaValue[] = [];
    let name = at + 4 * count;
    for (let index = 0; index < count; index++) {
      const nul = this.#bytes.indexOf(0, name);
      need(nul >= 0 && nul < end, "the name of a quota does not end");
      quotas.push([readLatin1(this.#bytes, name, nul), this.#u32(at + 4 * index)]);
      name = nul + 1;
    }
    return quotas;
  }

  #own(at: number, end: number): StreamRecord {
    let last = end;
    while (last > at && this.#bytes[last - 1] === 0) last--;
    try {
      const { kind, body } = JSON.parse(readLatin1(this.#bytes, at, last)) as {
        kind?: unknown;
        body: unknown;
      };
      if (typeof kind === "string") return { type: "own", kind, body };
    } catch {
      // Told below.
    }
    return nonsense("a record of our own is not one");
  }

  /** A plain Uint8Array, whatever the bytes came in. */
  #copy(at: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(at, end));
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }
}

function need(condition: boolean, what: string): void {
  if (!condition) nonsense(what);
}

function align8(length: number): number {
  return (length + 7) & ~7;
}
