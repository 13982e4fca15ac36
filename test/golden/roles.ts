// SPDX-License-Identifier: Apache-2.0
//
// Who is behind a xenstore connection. Real recordings do not say; what a
// connection does, and when, does. Our own runs are sorted by the same rules,
// so that a connection that behaves like nobody known is seen.

import { connectionsOf, pathOf, type Connection, type Request } from "./connections.ts";
import type { Command, Recording } from "./recording.ts";

/** One actor's store traffic: one connection, or the many short ones of one hotplug script. */
export interface Actor {
  /**
   * `xl create [1]`, `monitor [1]`, `guest 2`, `xenconsoled`, `dom0 kernel`, `watchers`,
   * `script vbd/1/51712 [2]`, `creator of 3`, `monitor of 3`, `bystander`.
   */
  role: string;
  /** The command during which the connection was made, if any. */
  command: Command | null;
  connection: Connection;
}

/**
 * Names every connection of a recording that said anything, in order of
 * appearance. Snapshots and domid look-ups of the driving script are `bystander`s.
 */
export function actorsOf(recording: Recording): Actor[] {
  const actors: Actor[] = [];
  const commands = recording.commands.filter((entry) => entry.kind === "command");
  const connections = connectionsOf(recording.store).filter((connection) => connection.exchanges.length > 0);
  const own = ownConnections(connections, commands);
  const counts = new Map<string, number>();
  let script: Actor | null = null;
  for (const connection of connections) {
    const command = commandAt(commands, connection.born);
    const device = scriptDevice(connection, script);
    const actor = device === null ? null : scriptActor(actors, counts, device, connection, command);
    if (actor !== null) {
      script = actor;
      continue;
    }
    const role = roleOf(connection, command, commands, own);
    actors.push({ role: role ?? "bystander", command, connection });
  }
  return actors;
}

function roleOf(
  connection: Connection,
  command: Command | null,
  commands: Command[],
  own: Map<Command, Connection>,
): string | null {
  if (connection.born === null) return residentRole(connection);
  if (connection.introduced !== null) return `guest ${connection.introduced}`;
  const first = firstRequest(connection);
  if (first?.type === "WATCH" && first.body.startsWith("/ ")) return "watchers";
  if (first?.type === "DIRECTORY" && pathOf(first) === "/") return null;
  if (first?.type === "WATCH" && first.body.startsWith("@releaseDomain")) {
    const creator = commands.findLastIndex(
      ({ start, line }) => start <= connection.born! && CREATES.test(verb(line)),
    );
    if (creator >= 0) return `monitor [${creator + 1}]`;
  }
  if (!command) return unattendedRole(connection);
  if (!isToolstack(command.line)) return null;
  const number = `[${commands.indexOf(command) + 1}]`;
  if (own.get(command) === connection) return `${verb(command.line)} ${number}`;
  return isLookup(connection) ? null : `${verb(command.line)} helper ${number}`;
}

/** xl started outside the recorded commands: known by the domain it makes, or cleans up after. */
function unattendedRole(connection: Connection): string | null {
  const requests = connection.exchanges.filter((one) => one.kind === "request");
  const domain = (type: string): string | null => {
    const found = requests.find((one) => one.type === type && /^\/local\/domain\/\d+ $/.test(one.body));
    return found ? pathOf(found).slice("/local/domain/".length) : null;
  };
  const made = domain("WRITE");
  if (made !== null) return `creator of ${made}`;
  const removed = requests[0]?.body.startsWith("@releaseDomain ") ? domain("RM") : null;
  return removed === null ? null : `monitor of ${removed}`;
}

/** Verbs that leave a process behind; it may open its connection after they have ended. */
const CREATES = /^xl (create|restore)$/;

/**
 * The connection of the command itself: the first made while it ran, but not
 * one that just looks names up if there is another: a lister may run beside it.
 */
function ownConnections(connections: Connection[], commands: Command[]): Map<Command, Connection> {
  const own = new Map<Command, Connection>();
  for (const connection of connections) {
    const command = commandAt(commands, connection.born);
    if (
      !command ||
      connection.introduced !== null ||
      firstRequest(connection)?.body.startsWith("@releaseDomain ")
    )
      continue;
    const first = own.get(command);
    if (!first || (isLookup(first) && !isLookup(connection) && !scriptPath(connection)))
      own.set(command, connection);
  }
  return own;
}

/** Whether all a connection does is to read domains' names, as `xl list` and `xl domid` do. */
function isLookup(connection: Connection): boolean {
  return connection.exchanges.every(
    (one) => one.kind === "request" && /^\/local\/domain\/\d+\/name $/.test(one.body),
  );
}

function scriptPath(connection: Connection): boolean {
  return connection.exchanges.some((one) => one.kind === "request" && one.body.startsWith("backend/"));
}

/** A connection older than the recording: the kernel's paths are relative, xenconsoled names its watches. */
function residentRole(connection: Connection): string | null {
  for (const exchange of connection.exchanges) {
    if (exchange.kind === "event" && /^dom(list|\d+)$/.test(exchange.token)) return "xenconsoled";
    if (exchange.kind === "event" && /^[a-z]/.test(exchange.path)) return "dom0 kernel";
  }
  return null;
}

function commandAt(commands: Command[], time: number | null): Command | null {
  if (time === null) return null;
  return commands.find((command) => command.start <= time && time <= command.end) ?? null;
}

function isToolstack(line: string): boolean {
  return /^xl( |$)/.test(line);
}

/** `xl -vvv create -p /tmp/x.cfg` is `xl create`. */
export function verb(line: string): string {
  const words = line.split(" ");
  return [words[0], words.slice(1).find((word) => !word.startsWith("-"))]
    .filter((word) => word !== undefined)
    .join(" ");
}

function firstRequest(connection: Connection): Request | undefined {
  return connection.exchanges.find((exchange) => exchange.kind === "request");
}

/** What each hotplug script asks first: a connection that asks it starts a new run. */
const SCRIPT_OPENS: Record<string, string> = { vbd: "type", vif: "vifname" };

/**
 * The device a hotplug script works for, if one made this connection. Scripts
 * run one short xenstore-* program a request; most paths name the device, the
 * others belong to the script under way: block asks for the domain's UUID and
 * for every device's physical-device, vif-bridge writes the frontend's mtu.
 */
function scriptDevice(connection: Connection, underWay: Actor | null): string | null {
  const requests = connection.exchanges.filter((exchange) => exchange.kind === "request");
  const first = requests.find((request) => request.type !== "TRANSACTION_START");
  if (connection.born === null || connection.introduced !== null || !first) return null;
  const path = pathOf(first);
  const own = /^backend\/([a-z]+\/\d+\/\d+)\/([a-z-]+)/.exec(path);
  const current = underWay && underWay.role.split(" ")[1]!;
  if (own) return current && own[2] === "physical-device" ? current : own[1]!;
  if (!current) return null;
  if (first.type === "DIRECTORY" && path.startsWith("backend/")) return current;
  const domid = current.split("/")[1]!;
  const vm = first.type === "READ" && path === `/local/domain/${domid}/vm`;
  const mtu = first.type === "WRITE" && path.startsWith(`/local/domain/${domid}/device/vif/`);
  return requests.length === 1 && (vm || mtu) ? current : null;
}

/** Null for one that looks at the device before its first script has begun: the stand-in of a live host's script. */
function scriptActor(
  actors: Actor[],
  counts: Map<string, number>,
  device: string,
  connection: Connection,
  command: Command | null,
): Actor | null {
  const previous = actors.findLast((actor) => actor.role.startsWith(`script ${device} `));
  const opens =
    pathOf(firstRequest(connection)!) === `backend/${device}/${SCRIPT_OPENS[device.split("/")[0]!]}`;
  if (previous && !opens) {
    previous.connection.exchanges.push(...connection.exchanges);
    previous.connection.died = connection.died;
    return previous;
  }
  if (!opens) return null;
  const actor: Actor = { role: numbered(counts, `script ${device}`), command, connection };
  actors.push(actor);
  return actor;
}

function numbered(counts: Map<string, number>, name: string): string {
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  return `${name} [${count}]`;
}
