// SPDX-License-Identifier: Apache-2.0
//
// The migration stream: what xenstored writes of itself for a live update, and
// for a domain that migrates (docs/designs/xenstore-migration.md in Xen's tree).
// A header, then records; this file says what records there are.
//
//   stream-encode.ts   records to bytes, version 1 or 2
//   stream-decode.ts   bytes to records; what cannot be is told with its offset
//   stream-save.ts     a store to records
//   stream-load.ts     records to a store
//
// Paths, values and tokens are latin1 strings, as everywhere in the store.

/** The ident of the header, `xenstore` in ASCII. */
export const STREAM_IDENT = "xenstore";
export const STREAM_HEADER_SIZE = 16;
export const RECORD_HEADER_SIZE = 8;

/** Versions of the format; 2 adds watch depth and the features of domains. */
export type StreamVersion = 1 | 2;

/**
 * Where WATCH_DATA_EXTENDED has its depth and path:
 * - `document`: depth at 8, two bytes of padding, path at 12;
 * - `head`: as struct xs_state_watch_ext of Xen HEAD has it, path at 10. HEAD's
 *   own writer leaves the depth out and begins the path at 8, though it counts the
 *   bytes; such a record is recognised and read, too, its depth as "all levels".
 */
export type WatchLayout = "document" | "head";

/** Numbers of the record types. */
export const RECORD = {
  END: 0,
  GLOBAL_DATA: 1,
  CONNECTION_DATA: 2,
  WATCH_DATA: 3,
  TRANSACTION_DATA: 4,
  NODE_DATA: 5,
  GLOBAL_QUOTA_DATA: 6,
  DOMAIN_DATA: 7,
  WATCH_DATA_EXTENDED: 8,
  /** Not of the document: see `OwnRecord`. Readers that do not know it pass over it. */
  OWN: 0x584c0001,
} as const;

/** An unused file descriptor in a record. */
export const NO_FD = -1;
/** `tdomid` of a domain that acts for no other. */
export const DOMID_INVALID = 0x7ff4;

/** GLOBAL_DATA: descriptors of the whole process, or -1. */
export interface GlobalRecord {
  readonly type: "global";
  readonly socketFd: number;
  readonly evtchnFd: number;
}

/** CONNECTION_DATA. */
export interface ConnectionRecord {
  readonly type: "connection";
  /** Not zero; later records name the connection by it. */
  readonly connId: number;
  readonly spec:
    | {
        readonly kind: "ring";
        readonly domid: number;
        readonly target: number | null;
        readonly evtchn: number;
      }
    | { readonly kind: "socket"; readonly fd: number };
  /** Read from the connection, not yet processed. */
  readonly input: Uint8Array;
  /** To be sent: the first `partial` bytes are the rest of a message that was sent in part. */
  readonly output: Uint8Array;
  readonly partial: number;
  /** The domain's, where it is known. */
  readonly uniqueId: bigint | null;
}

/** WATCH_DATA, or with a depth WATCH_DATA_EXTENDED. */
export interface WatchRecord {
  readonly type: "watch";
  readonly connId: number;
  /** As the WATCH request had it: relative ones stay relative. */
  readonly path: string;
  readonly token: string;
  /** Levels below the path; -1 for all. */
  readonly depth: number;
}

/** TRANSACTION_DATA: an open transaction. */
export interface TransactionRecord {
  readonly type: "transaction";
  readonly connId: number;
  readonly txId: number;
}

/** One permission of a node; the first is the owner's. */
export interface PermRecord {
  /** `n`, `r`, `w` or `b`. */
  readonly letter: string;
  readonly domid: number;
  /** Of a domain that is gone: listed, but without effect. */
  readonly stale: boolean;
}

/** What a transaction did to a node. */
export const ACCESS_READ = 1;
export const ACCESS_WRITTEN = 2;

/** NODE_DATA: a node, a special watch's permissions (`@…`), or a node as an open transaction has it. */
export interface NodeRecord {
  readonly type: "node";
  /** 0 for the store's own. */
  readonly connId: number;
  readonly txId: number;
  readonly path: string;
  readonly value: string;
  readonly access: number;
  /** None for a node deleted in a transaction. */
  readonly perms: readonly PermRecord[];
}

/** A quota's name and its value, 0 for unlimited. */
export type QuotaValue = readonly [name: string, value: number];

/** GLOBAL_QUOTA_DATA. */
export interface GlobalQuotaRecord {
  readonly type: "global-quota";
  readonly perDomain: readonly QuotaValue[];
  readonly global: readonly QuotaValue[];
}

/** DOMAIN_DATA. */
export interface DomainRecord {
  readonly type: "domain";
  readonly domid: number;
  /** `server_features` of its ring page; 0 in version 1. */
  readonly features: number;
  readonly quotas: readonly QuotaValue[];
}

/**
 * A record of our own, only written where the reader is known to be us: state
 * the document has no place for. `body` is JSON; `kind` says of what.
 */
export interface OwnRecord {
  readonly type: "own";
  readonly kind: string;
  readonly body: unknown;
}

/** A record of a type we do not know; it has no effect. */
export interface UnknownRecord {
  readonly type: "unknown";
  readonly number: number;
  readonly body: Uint8Array;
}

export type StreamRecord =
  | GlobalRecord
  | ConnectionRecord
  | WatchRecord
  | TransactionRecord
  | NodeRecord
  | GlobalQuotaRecord
  | DomainRecord
  | OwnRecord
  | UnknownRecord;

/** What is wrong with a stream, and where: an offset in bytes. */
export interface StreamProblem {
  readonly problem: string;
  readonly offset: number;
}

/** Whether a result is a problem. */
export function isStreamProblem(result: object): result is StreamProblem {
  return "problem" in result;
}
