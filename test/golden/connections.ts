// SPDX-License-Identifier: Apache-2.0
//
// xenstored's trace, sorted into connections and each connection into
// exchanges: a request with its reply, or an event.

import type { StoreLine, StoreMessage, Time } from "./recording.ts";

export interface Request {
  kind: "request";
  time: Time;
  /** Where it stands in the trace. */
  line: StoreLine;
  type: string;
  body: string;
  /** The line of the reply; null where the recording ended, or the connection died, first. */
  reply: StoreMessage<"reply"> | null;
}

export interface StoreEvent {
  kind: "event";
  time: Time;
  line: StoreLine;
  path: string;
  token: string;
}

export type Exchange = Request | StoreEvent;

export interface Connection {
  /** Null if it was there before the recording began. */
  born: Time | null;
  died: Time | null;
  /** In the order in which requests arrived and events were sent. */
  exchanges: Exchange[];
  /** The domain whose INTRODUCE made this connection, if one did. */
  introduced: number | null;
}

/** Connections in the order in which they first appear. Replies answer requests in order, as xenstored's always do. */
export function connectionsOf(store: StoreLine[]): Connection[] {
  const all: Connection[] = [];
  const live = new Map<string, Connection>();
  const unanswered = new Map<Connection, Request[]>();
  let introducing: number | null = null;
  const open = (key: string, born: Time | null): Connection => {
    const connection: Connection = { born, died: null, exchanges: [], introduced: null };
    all.push(connection);
    live.set(key, connection);
    unanswered.set(connection, []);
    return connection;
  };
  for (const line of store) {
    if (line.kind === "connect") {
      open(line.connection, line.time).introduced = introducing;
      introducing = null;
      continue;
    }
    const connection = live.get(line.connection) ?? open(line.connection, null);
    if (line.kind === "disconnect") {
      connection.died = line.time;
      live.delete(line.connection);
    } else if (line.kind === "request") {
      const request: Request = {
        kind: "request",
        time: line.time,
        line,
        type: line.type,
        body: line.body,
        reply: null,
      };
      connection.exchanges.push(request);
      unanswered.get(connection)!.push(request);
      introducing = line.type === "INTRODUCE" ? Number(line.body.split(" ")[0]) : null;
    } else if (line.type === "WATCH_EVENT") {
      const [path, token] = line.body.split(" ");
      connection.exchanges.push({
        kind: "event",
        time: line.time,
        line,
        path: path ?? "",
        token: token ?? "",
      });
    } else {
      const request = unanswered.get(connection)!.shift();
      if (request) request.reply = line;
    }
  }
  return all;
}

/** The path a request is about: its first word. */
export function pathOf(request: Request): string {
  return request.body.split(" ")[0] ?? "";
}
