// SPDX-License-Identifier: Apache-2.0
//
// Records of the migration stream to bytes.

import {
  type ConnectionRecord,
  DOMID_INVALID,
  type DomainRecord,
  type GlobalQuotaRecord,
  type NodeRecord,
  type QuotaValue,
  RECORD,
  RECORD_HEADER_SIZE,
  STREAM_HEADER_SIZE,
  STREAM_IDENT,
  type StreamRecord,
  type StreamVersion,
  type WatchLayout,
  type WatchRecord,
} from "./stream.ts";
import { writeLatin1 } from "./wire.ts";

/** How to write. */
export interface StreamFormat {
  readonly version: StreamVersion;
  readonly layout: WatchLayout;
  /** Default little: what every machine is that Xen runs on today. */
  readonly endian?: "little" | "big";
}

/** Appends records to a buffer that grows. */
export class StreamWriter {
  readonly #format: StreamFormat;
  readonly #little: boolean;
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(format: StreamFormat, room = 65_536) {
    this.#format = format;
    this.#little = format.endian !== "big";
    this.#bytes = new Uint8Array(room);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written and not yet taken. */
  get length(): number {
    return this.#length;
  }

  /** What was written since the last call, as a copy. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** The header; always big-endian. */
  header(): void {
    const at = this.#grow(STREAM_HEADER_SIZE);
    writeLatin1(this.#bytes, at, STREAM_IDENT);
    this.#view.setUint32(at + 8, this.#format.version);
    this.#view.setUint32(at + 12, this.#little ? 0 : 1);
  }

  /** The END record. */
  end(): void {
    this.#record(RECORD.END, 0);
  }

  /** One record. */
  write(record: StreamRecord): void {
    switch (record.type) {
      case "global": {
        const at = this.#record(RECORD.GLOBAL_DATA, 8);
        this.#view.setInt32(at, record.socketFd, this.#little);
        this.#view.setInt32(at + 4, record.evtchnFd, this.#little);
        return;
      }
      case "connection":
        return this.#connection(record);
      case "watch":
        return this.#watch(record);
      case "transaction": {
        const at = this.#record(RECORD.TRANSACTION_DATA, 8);
        this.#u32(at, record.connId);
        this.#u32(at + 4, record.txId);
        return;
      }
      case "node":
        return this.#node(record);
      case "global-quota":
        return this.#globalQuota(record);
      case "domain":
        return this.#domain(record);
      case "own": {
        // JSON of strings whose characters are bytes, and of numbers, is latin1 itself.
        const text = JSON.stringify({ kind: record.kind, body: record.body });
        const at = this.#record(RECORD.OWN, text.length);
        writeLatin1(this.#bytes, at, text);
        return;
      }
      case "unknown": {
        const at = this.#record(record.number, record.body.length);
        this.#bytes.set(record.body, at);
      }
    }
  }

  #connection({ connId, spec, input, output, partial, uniqueId }: ConnectionRecord): void {
    if (input.length > 0xffff) throw new Error("more input of a connection than a record has room for");
    const fixed = 24 + input.length + output.length;
    const padded = uniqueId === null ? fixed : align8(fixed);
    const at = this.#record(RECORD.CONNECTION_DATA, padded + (uniqueId === null ? 0 : 8));
    this.#u32(at, connId);
    this.#u16(at + 4, spec.kind === "ring" ? 0 : 1);
    this.#u16(at + 6, uniqueId === null ? 0 : 1);
    if (spec.kind === "ring") {
      this.#u16(at + 8, spec.domid);
      this.#u16(at + 10, spec.target ?? DOMID_INVALID);
      this.#u32(at + 12, spec.evtchn);
    } else this.#view.setInt32(at + 8, spec.fd, this.#little);
    this.#u16(at + 16, input.length);
    this.#u16(at + 18, partial);
    this.#u32(at + 20, output.length);
    this.#bytes.set(input, at + 24);
    this.#bytes.set(output, at + 24 + input.length);
    if (uniqueId !== null) this.#view.setBigUint64(at + padded, uniqueId, this.#little);
  }

  #watch({ connId, path, token, depth }: WatchRecord): void {
    const { version, layout } = this.#format;
    const extended = version >= 2 && depth >= 0;
    const start = !extended ? 8 : layout === "document" ? 12 : 10;
    const fixed = extended ? 12 : 8;
    const at = this.#record(
      extended ? RECORD.WATCH_DATA_EXTENDED : RECORD.WATCH_DATA,
      fixed + path.length + token.length + 2,
    );
    this.#u32(at, connId);
    this.#u16(at + 4, path.length + 1);
    this.#u16(at + 6, token.length + 1);
    if (extended) this.#u16(at + 8, depth);
    writeLatin1(this.#bytes, at + start, path);
    writeLatin1(this.#bytes, at + start + path.length + 1, token);
  }

  #node({ connId, txId, path, value, access, perms }: NodeRecord): void {
    const start = 16 + 4 * perms.length;
    const at = this.#record(RECORD.NODE_DATA, start + path.length + 1 + value.length);
    this.#u32(at, connId);
    this.#u32(at + 4, txId);
    this.#u16(at + 8, path.length + 1);
    this.#u16(at + 10, value.length);
    this.#u16(at + 12, access);
    this.#u16(at + 14, perms.length);
    for (const [index, { letter, domid, stale }] of perms.entries()) {
      this.#bytes[at + 16 + 4 * index] = letter.charCodeAt(0);
      this.#bytes[at + 17 + 4 * index] = stale ? 1 : 0;
      this.#u16(at + 18 + 4 * index, domid);
    }
    writeLatin1(this.#bytes, at + start, path);
    writeLatin1(this.#bytes, at + start + path.length + 1, value);
  }

  #globalQuota({ perDomain, global }: GlobalQuotaRecord): void {
    const quotas = [...perDomain, ...global];
    const at = this.#record(RECORD.GLOBAL_QUOTA_DATA, 4 + quotaBytes(quotas));
    this.#u16(at, perDomain.length);
    this.#u16(at + 2, global.length);
    this.#quotas(at + 4, quotas);
  }

  #domain({ domid, features, quotas }: DomainRecord): void {
    const at = this.#record(RECORD.DOMAIN_DATA, 8 + quotaBytes(quotas));
    this.#u16(at, domid);
    this.#u16(at + 2, quotas.length);
    this.#u32(at + 4, this.#format.version >= 2 ? features : 0);
    this.#quotas(at + 8, quotas);
  }

  #quotas(at: number, quotas: readonly QuotaValue[]): void {
    let name = at + 4 * quotas.length;
    for (const [index, [text, value]] of quotas.entries()) {
      this.#u32(at + 4 * index, value);
      writeLatin1(this.#bytes, name, text);
      name += text.length + 1;
    }
  }

  /** A record's header and room for its body, zero-filled and padded; returns where the body begins. */
  #record(type: number, length: number): number {
    const padded = align8(length);
    const at = this.#grow(RECORD_HEADER_SIZE + padded);
    this.#u32(at, type);
    // As real xenstored does: the length counts the padding (ROUNDUP in dump_state_*).
    this.#u32(at + 4, padded);
    return at + RECORD_HEADER_SIZE;
  }

  #grow(room: number): number {
    const at = this.#length;
    const end = at + room;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#bytes.fill(0, at, end);
    this.#length = end;
    return at;
  }

  #u16(at: number, value: number): void {
    this.#view.setUint16(at, value, this.#little);
  }

  #u32(at: number, value: number): void {
    this.#view.setUint32(at, value, this.#little);
  }
}

function quotaBytes(quotas: readonly QuotaValue[]): number {
  return quotas.reduce((sum, [name]) => sum + 4 + name.length + 1, 0);
}

function align8(length: number): number {
  return (length + 7) & ~7;
}

/** A whole stream, header and END included. */
export function encodeStream(records: Iterable<StreamRecord>, format: StreamFormat): Uint8Array {
  const writer = new StreamWriter(format);
  writer.header();
  for (const record of records) writer.write(record);
  writer.end();
  return writer.take();
}
