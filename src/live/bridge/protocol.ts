// SPDX-License-Identifier: Apache-2.0
//
// The messages between libxendev and the host; native/xendev/xendev.h is the
// other side. Numbers are in the machine's order, which is little-endian.

const TWO_32 = 0x1_0000_0000;

/** Version of the messages; both sides refuse another. */
export const PROTOCOL = 4;

/** The socket in a bridge's folder: libxendev makes the same path. */
export function bridgeSocket(folder: string): string {
  return `${folder}/socket`;
}

export const requestTypes = { hello: 1, ioctl: 2, mmap: 3, unmap: 4, write: 5 } as const;

/** sizeof(struct xendev_request) */
const REQUEST_BYTES = 56;
/** sizeof(struct xendev_reply) */
const REPLY_BYTES = 32;
/** sizeof(struct xendev_run) */
const RUN_BYTES = 24;
/** sizeof(struct xendev_standing) */
const STANDING_BYTES = 48;
/** XENDEV_STANDS */
const STANDS = 0xffff_ffff;
/** sizeof(struct xendev_unmapped) */
const UNMAPPED_BYTES = 16;
/** No request is larger: a path, an ioctl's argument, or a batch of unmappings. */
const PAYLOAD_BYTES_MAX = 8192;

/** A request as it came; addresses and offsets are numbers below 2^53 where they are valid. */
export interface Request {
  readonly type: number;
  readonly seq: number;
  readonly protocol: number;
  /** Inode of the descriptor's socket. */
  readonly descriptor: number;
  readonly args: readonly [number, number, number, number];
  readonly payload: Buffer;
}

/** Consecutive pages of one file of frames, for an address in the caller. */
export interface Run {
  readonly address: number;
  readonly file: number;
  readonly page: number;
  readonly pages: number;
  readonly writable: boolean;
}

/** A place a process holds free for mappings. */
export interface Place {
  readonly address: number;
  /** What follows, as the library says it. */
  readonly known: number;
  /** How it may be used: PROT_*. */
  readonly prot: number;
  /** Whether it is the first page that one mmap() has held free, and whether anything was mapped there. */
  readonly starts: boolean;
  readonly named: boolean;
  /** Pages held from there on. */
  readonly pages: number;
}

/** XENDEV_PLACE_* */
const [PLACE_STARTS, PLACE_NAMED, PLACE_PAGE] = [0x10, 0x20, 0x100];

/** What a request says of a place; null where it names none. */
export function placeIn(address: number, known: number): Place | null {
  if (address === 0) return null;
  const flags = known % PLACE_PAGE;
  return {
    address,
    known,
    prot: flags % PLACE_STARTS,
    starts: (flags & PLACE_STARTS) !== 0,
    named: (flags & PLACE_NAMED) !== 0,
    pages: Math.floor(known / PLACE_PAGE),
  };
}

/** What the caller is to map: runs in ascending order of address. */
export interface MappingReply {
  readonly id: number;
  readonly base: number;
  readonly runs: readonly Run[];
}

/**
 * An answer that stands for others of its kind: ioctls whose argument begins with the same
 * bytes, that name such a place, and whose word `from` points at a number from `first` to `last`.
 */
export interface Standing {
  /** See StandingAnswers. */
  readonly count: number;
  /** What is known of the place. */
  readonly place: number;
  readonly first: number;
  readonly last: number;
  /** Bytes. */
  readonly same: number;
  /** The argument's word that points at the number, and that which points at where `told` goes: an int. */
  readonly from: number;
  readonly to: number;
  readonly told: number;
}

/** Pages of a mapping that the caller no longer maps. */
export interface Unmapped {
  readonly mapping: number;
  readonly first: number;
  readonly pages: number;
}

/** Cuts a stream of bytes into requests. */
export class RequestParser {
  #rest: Buffer = Buffer.alloc(0);

  /** The requests that are whole now; null where the peer does not speak the protocol. */
  push(bytes: Buffer): Request[] | null {
    const data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const found: Request[] = [];
    let at = 0;
    while (data.length - at >= REQUEST_BYTES) {
      const payload = data.readUInt32LE(at + 48);
      if (payload > PAYLOAD_BYTES_MAX) return null;
      if (data.length - at < REQUEST_BYTES + payload) break;
      found.push(readRequest(data.subarray(at, at + REQUEST_BYTES + payload)));
      at += REQUEST_BYTES + payload;
    }
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : Buffer.alloc(0);
    return found;
  }
}

/** An unsigned number of 64 bits; above 2^53 it is not exact. */
export function readWord(data: Buffer, at: number): number {
  return data.readUInt32LE(at) + data.readUInt32LE(at + 4) * TWO_32;
}

/** A number of 64 bits, of which those up to 2^53 and their negatives are exact. */
function writeWord(data: Buffer, value: number, at: number): void {
  const high = Math.floor(value / TWO_32);
  data.writeUInt32LE(value - high * TWO_32, at);
  data.writeInt32LE(high, at + 4);
}

function readRequest(data: Buffer): Request {
  return {
    type: data.readUInt32LE(0),
    seq: data.readUInt32LE(4),
    descriptor: readWord(data, 8),
    args: [readWord(data, 16), readWord(data, 24), readWord(data, 32), readWord(data, 40)],
    protocol: data.readUInt32LE(52),
    payload: data.subarray(REQUEST_BYTES),
  };
}

/** A reply: the result, or a negative errno, and what to map. */
export function encodeReply(seq: number, result: number, mapping: MappingReply | null): Buffer {
  const runs = mapping?.runs ?? [];
  const data = Buffer.allocUnsafe(REPLY_BYTES + runs.length * RUN_BYTES);
  data.writeUInt32LE(seq, 0);
  data.writeUInt32LE(runs.length, 4);
  writeWord(data, result, 8);
  writeWord(data, mapping?.id ?? 0, 16);
  writeWord(data, mapping?.base ?? 0, 24);
  let at = REPLY_BYTES;
  for (const run of runs) {
    writeWord(data, run.address, at);
    data.writeUInt32LE(run.file, at + 8);
    data.writeUInt32LE(run.page, at + 12);
    data.writeUInt32LE(run.pages, at + 16);
    data.writeUInt32LE(run.writable ? 1 : 0, at + 20);
    at += RUN_BYTES;
  }
  return data;
}

/** A reply whose result is 0, and stands. */
export function encodeStanding(seq: number, standing: Standing): Buffer {
  const data = Buffer.alloc(REPLY_BYTES + STANDING_BYTES);
  data.writeUInt32LE(seq, 0);
  data.writeUInt32LE(STANDS, 4);
  const words = [standing.count, standing.place, standing.first, standing.last];
  for (const [i, word] of words.entries()) writeWord(data, word, REPLY_BYTES + i * 8);
  data.writeUInt32LE(standing.same, REPLY_BYTES + 32);
  data.writeUInt16LE(standing.from, REPLY_BYTES + 36);
  data.writeUInt16LE(standing.to, REPLY_BYTES + 38);
  data.writeInt32LE(standing.told, REPLY_BYTES + 40);
  return data;
}

/** The payload of an unmap request. */
export function readUnmapped(payload: Buffer): Unmapped[] {
  const found: Unmapped[] = [];
  for (let at = 0; at + UNMAPPED_BYTES <= payload.length; at += UNMAPPED_BYTES) {
    found.push({
      mapping: readWord(payload, at),
      first: payload.readUInt32LE(at + 8),
      pages: payload.readUInt32LE(at + 12),
    });
  }
  return found;
}
