// SPDX-License-Identifier: Apache-2.0
//
// xenolith store: a xenstore client, for machines without xenstore-utils. It
// talks to any xenstored over its socket.

import { shellWord } from "../../live/directory.ts";
import { Problem, systemWords, usage } from "../../live/problem.ts";
import { type XenstoreClient, XenstoreConnectionError, XenstoreError } from "../../client/index.ts";
import { connectXenstore } from "../../live/xenstore-client.ts";
import type { Command, Invocation } from "../command.ts";
import { DIR_OPTION, numberOf, printJson } from "../command.ts";
import { dirWords, hostDirectory } from "../host.ts";
import { childPath, listing, nodeLine, readable } from "../store-text.ts";

type Run = (client: XenstoreClient, words: readonly string[], invocation: Invocation) => Promise<number>;

/** A verb, and what is wrong with its words, asked before anybody is connected to. */
interface Verb {
  run: Run;
  complaint: (words: readonly string[]) => string | null;
}

/** What is typed and printed are bytes; the client wants them one to a character. */
function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function needs(least: number, what: string): Verb["complaint"] {
  return (words) => (words.length < least ? `needs ${what}` : null);
}

function writeComplaint(words: readonly string[]): string | null {
  return words.length < 2 || words.length % 2 !== 0 ? "write needs PATH VALUE, once or more often" : null;
}

function chmodComplaint([, ...perms]: readonly string[]): string | null {
  if (perms.length === 0) return "needs PATH PERM..., the owner's first (n0 r5)";
  const bad = perms.find((perm) => !/^[nrwb]\d+$/.test(perm));
  return bad === undefined ? null : `${bad} is no permission: one of n r w b, then a domid, as in r5`;
}

const ls: Run = async (client, words, { switches, json }) => {
  const [path = "/"] = words;
  const rows = await listing(client, path, switches.has("perms"));
  if (json) printJson(rows);
  else {
    for (const { path: at, depth, value, perms } of rows) {
      const name = switches.has("full") ? at : `${" ".repeat(depth)}${at.slice(at.lastIndexOf("/") + 1)}`;
      print(`${nodeLine(name, value)}${perms === undefined ? "" : `   (${perms.join(",")})`}`);
    }
  }
  return 0;
};

const read: Run = async (client, words, { switches, json }) => {
  const values = await Promise.all(words.map((path) => client.read(path)));
  if (json) printJson(Object.fromEntries(words.map((path, at) => [path, values[at]])));
  else if (switches.has("raw"))
    for (const value of values) process.stdout.write(Buffer.from(value, "latin1"));
  else for (const value of values) print(readable(value));
  return 0;
};

const write: Run = async (client, words, { json }) => {
  const pairs = words.flatMap((word, at) =>
    at % 2 === 0 ? [[word, latin1(words[at + 1] as string)] as const] : [],
  );
  await client.transaction(async (transaction) => {
    for (const [path, value] of pairs) await transaction.write(path, value);
  });
  if (json) printJson({ written: pairs.map(([path]) => path) });
  return 0;
};

/** A verb that does one thing to each of its paths, all or none. */
function eachPath(name: "rm" | "mkdir"): Run {
  return async (client, words, { json }) => {
    await client.transaction(async (transaction) => {
      for (const path of words) await transaction[name](path);
    });
    if (json) printJson({ [name]: words });
    return 0;
  };
}

const exists: Run = async (client, words, { json }) => {
  const found = await Promise.all(words.map((path) => client.exists(path)));
  if (json) printJson(Object.fromEntries(words.map((path, at) => [path, found[at]])));
  return found.every(Boolean) ? 0 : 1;
};

const chmod: Run = async (client, words, { json }) => {
  const [path = "", ...perms] = words;
  await client.setPerms(path, perms);
  if (json) printJson({ path, perms });
  return 0;
};

const perms: Run = async (client, words, { json }) => {
  for (const path of words) {
    const found = await client.getPerms(path);
    if (json) printJson({ path, perms: found });
    else print(words.length === 1 ? found.join(" ") : `${path} ${found.join(" ")}`);
  }
  return 0;
};

/** Prints a path whenever something at or below it changes; the first time at once. */
const watch: Run = async (client, words, invocation) => {
  let left = numberOf(invocation, "count", Infinity, 1);
  const watches = await Promise.all(words.map((path) => client.watch(path)));
  await Promise.race(
    watches.map(async (watched) => {
      for await (const { path } of watched) {
        if (invocation.json) printJson({ path });
        else print(path);
        if (--left <= 0) return;
      }
    }),
  );
  return 0;
};

const paths = needs(1, "PATH...");

const verbs: { readonly [name: string]: Verb } = {
  ls: { run: ls, complaint: () => null },
  read: { run: read, complaint: paths },
  write: { run: write, complaint: writeComplaint },
  rm: { run: eachPath("rm"), complaint: paths },
  mkdir: { run: eachPath("mkdir"), complaint: paths },
  exists: { run: exists, complaint: paths },
  chmod: { run: chmod, complaint: chmodComplaint },
  perms: { run: perms, complaint: paths },
  watch: { run: watch, complaint: paths },
};

/** `--socket` before `--dir` before the host's own rules; `$XENSTORED_PATH` only where no host is named. */
function socketOf(invocation: Invocation): string {
  const { socket, dir } = invocation.values;
  if (socket !== undefined) return socket;
  const foreign = process.env["XENSTORED_PATH"];
  const named = dir !== undefined || process.env["XENOLITH_DIR"] !== undefined;
  return foreign !== undefined && foreign !== "" && !named ? foreign : hostDirectory(invocation).xenstored;
}

const MEANINGS: { readonly [code: string]: string } = {
  ENOENT: "there is no such node",
  EACCES: "permission denied",
  EINVAL: "not a path or value xenstored takes",
  ENOSPC: "a quota is used up",
  E2BIG: "too much for one message",
};

function wireProblem(error: XenstoreError, invocation: Invocation): Problem {
  const meaning = MEANINGS[error.code] ?? "xenstored refused";
  const what = error.argument === "" ? error.request : error.argument;
  const { socket } = invocation.values;
  const where = socket === undefined ? dirWords(invocation) : ` --socket ${shellWord(socket)}`;
  const next =
    error.code === "ENOENT" ? `xenolith store ls${where} ${shellWord(childPath.parent(what))}` : null;
  return new Problem(`${what}: ${meaning} (${error.code})`, next);
}

async function run(invocation: Invocation): Promise<number> {
  const [name = "", ...words] = invocation.words;
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (verb === undefined) throw usage(`no verb ${name}: one of ${Object.keys(verbs).join(", ")}`);
  const complaint = verb.complaint(words);
  if (complaint !== null) throw usage(complaint);
  const socket = socketOf(invocation);
  let client: XenstoreClient;
  try {
    client = await connectXenstore(socket);
  } catch (error) {
    throw new Problem(
      `no xenstored answers at ${socket}: ${systemWords(error)}`,
      socket === hostDirectory(invocation).xenstored
        ? `xenolith up --detach${dirWords(invocation)}`
        : `xenolith xenstored --socket ${shellWord(socket)}`,
    );
  }
  try {
    return await verb.run(client, words, invocation);
  } catch (error) {
    if (error instanceof XenstoreError) throw wireProblem(error, invocation);
    if (error instanceof XenstoreConnectionError) throw new Problem("xenstored went away", null);
    throw error;
  } finally {
    client.close();
  }
}

export const command: Command = {
  name: "store",
  summary: "read, write and watch xenstore",
  operands: `${Object.keys(verbs).join("|")} [PATH...]`,
  details:
    "write takes PATH VALUE, once or more often, and writes all or nothing; chmod takes PATH and permissions, the\n" +
    "owner's first (n0 r5); exists answers with its exit code; watch prints a path whenever something at or below\n" +
    "it changes. Values are printed with control characters as \\n or \\ooo, unless --raw is given.",
  examples: [
    "xenolith store ls -f /local/domain",
    "xenolith store read /local/domain/1/name",
    "xenolith store write /tool/test yes",
    "xenolith store watch --count 2 @releaseDomain",
  ],
  options: [
    DIR_OPTION,
    { name: "socket", value: "PATH", help: "a xenstored's socket instead of a host's" },
    { name: "full", short: "f", help: "ls: print whole paths" },
    { name: "perms", short: "p", help: "ls: print permissions too" },
    { name: "count", short: "n", value: "N", help: "watch: end after N events" },
    { name: "raw", help: "read: print the value's bytes as they are, without a line end" },
  ],
  words: [1, Infinity],
  verbs: Object.keys(verbs),
  run,
};
