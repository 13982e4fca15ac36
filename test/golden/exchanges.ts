// SPDX-License-Identifier: Apache-2.0
//
// Store traffic in words that two runs share.

import type { Exchange, Request } from "./connections.ts";
import { renamePaths, renamePermission, renameValue, type Names } from "./names.ts";
import type { Actor } from "./roles.ts";

/** An exchange with its identifiers renamed, ready to compare and to print. */
export interface Said {
  kind: "request" | "event";
  /** `WRITE`, …; `EVENT`. */
  type: string;
  /** Path and arguments. */
  what: string;
  /** What came back: a value, `ENOENT`, or nothing where it was just OK. */
  answer: string;
}

/** Gives names to the frames, references and ports in values that an actor wrote. */
export function nameWhatIsWritten(names: Names, actor: Actor): void {
  const owner = ownerOf(names, actor);
  for (const exchange of actor.connection.exchanges) {
    if (exchange.kind === "request" && exchange.type === "WRITE")
      argumentsOf(names, owner, new Map(), exchange);
  }
}

/** The domain that an actor's relative paths are relative to. */
function ownerOf(names: Names, actor: Actor): string {
  const guest = /^guest (\d+)$/.exec(actor.role);
  return guest ? names.domid(guest[1]!) : "0";
}

/** What an actor said and heard, in order. */
export function saidBy(names: Names, actor: Actor): Said[] {
  const owner = ownerOf(names, actor);
  const tokens = new Map<string, string>();
  return actor.connection.exchanges.map((exchange) => said(names, owner, tokens, exchange));
}

/** The actor's role with its domids renamed. */
export function renamedRole(names: Names, role: string): string {
  return role
    .replace(
      /^(guest |creator of |monitor of )(\d+)$/,
      (_, what: string, domid: string) => what + names.domid(domid),
    )
    .replace(
      /^script ([a-z]+)\/(\d+)\//,
      (_, bus: string, domid: string) => `script ${bus}/${names.domid(domid)}/`,
    );
}

function said(names: Names, owner: string, tokens: Map<string, string>, exchange: Exchange): Said {
  if (exchange.kind === "event") {
    const path = renamePaths(names, exchange.path);
    return {
      kind: "event",
      type: "EVENT",
      what: `${path} ${renameToken(names, tokens, exchange.token, exchange.path)}`,
      answer: "",
    };
  }
  return {
    kind: "request",
    type: exchange.type,
    what: argumentsOf(names, owner, tokens, exchange),
    answer: answerTo(names, owner, exchange),
  };
}

function argumentsOf(names: Names, owner: string, tokens: Map<string, string>, request: Request): string {
  const [path = "", ...rest] = request.body.split(" ");
  switch (request.type) {
    case "WRITE":
      return `${renamePaths(names, path)} = "${renameValue(names, path, rest.join(" "), owner)}"`;
    case "SET_PERMS":
      return `${renamePaths(names, path)} ${words(rest)
        .map((permission) => renamePermission(names, permission))
        .join(",")}`;
    case "WATCH":
    case "UNWATCH":
      return `${renamePaths(names, path)} ${renameToken(names, tokens, rest[0] ?? "", path)}`;
    case "GET_DOMAIN_PATH":
    case "IS_DOMAIN_INTRODUCED":
    case "RELEASE":
    case "RESUME":
      return names.domid(path);
    case "INTRODUCE":
      return `${names.domid(path)} ${names.nth(`${names.domid(path)}:frame`, rest[0] ?? "")} ${rest[1] ?? ""}`;
    case "TRANSACTION_START":
      return "";
    default:
      return renamePaths(names, request.body.trimEnd());
  }
}

function answerTo(names: Names, owner: string, request: Request): string {
  const { reply } = request;
  if (!reply) return "(no reply)";
  const body = reply.body.trimEnd();
  const path = request.body.split(" ")[0]!;
  if (reply.type === "ERROR") return body;
  switch (request.type) {
    case "READ":
      return `"${renameValue(names, path, reply.body, owner)}"`;
    case "GET_PERMS":
      return words(body.split(" "))
        .map((permission) => renamePermission(names, permission))
        .join(",");
    case "DIRECTORY":
      return `[${words(body.split(" "))
        .map((name) => renameEntry(names, path, name))
        .join(" ")}]`;
    case "GET_DOMAIN_PATH":
      return renamePaths(names, body);
    default:
      return body === "OK" || request.type === "TRANSACTION_START" ? "" : body;
  }
}

/** An entry of a directory whose entries are domids or UUIDs. */
function renameEntry(names: Names, directory: string, entry: string): string {
  const path = `${directory === "/" ? "" : directory}/${entry}`;
  return renamePaths(names, path).split("/").at(-1)!;
}

/** What xl, xenconsoled and the watcher call their watches. */
const CHOSEN_TOKEN = /^(\d+\/[0-9a-f]+|dom(list|\d+)|w\d|)$/;

/** A kernel's token stands for its watch, by its address: named after the path it was first seen with. */
function renameToken(names: Names, tokens: Map<string, string>, token: string, path: string): string {
  if (!CHOSEN_TOKEN.test(token)) {
    if (!tokens.has(token)) tokens.set(token, `*${renamePaths(names, path).split("/")[0]}`);
    return tokens.get(token)!;
  }
  return token.replace(/^dom(\d+)$/, (_, domid: string) => `dom${names.domid(domid)}`);
}

function words(list: string[]): string[] {
  return list.filter((word) => word !== "");
}

const READS = new Set([
  "READ",
  "DIRECTORY",
  "DIRECTORY_PART",
  "GET_PERMS",
  "GET_DOMAIN_PATH",
  "IS_DOMAIN_INTRODUCED",
]);

/** Whether a request can change the store, a transaction, or which events the connection gets. */
export function changesStore(said: Said): boolean {
  return said.kind === "request" && !READS.has(said.type);
}
