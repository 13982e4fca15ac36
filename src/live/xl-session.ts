// SPDX-License-Identifier: Apache-2.0
//
// An xl command that somebody outside typed: runs inside the host, speaks to
// whoever typed it.

import { fileCell } from "../core/daemons/files.ts";
import { input } from "../core/engine/input.ts";
import { consoleChildOf } from "../core/toolstack/console-child.ts";
import { isAttached } from "../core/toolstack/xenconsole.ts";
import { spawnXl } from "../core/toolstack/xl.ts";
import type { CallerFile, Luggage, WrittenFile } from "./caller-files.ts";
import { filesGiven, filesTaken } from "./dom0-files.ts";
import type { GivenFile } from "./dom0-files.ts";
import { consoleTyped } from "./console-keys.ts";
import type { LiveHost } from "./live-host.ts";
import { interrupted } from "./signal.ts";

/** Somebody typed an xl command at dom0's shell. `argv` is what stands after `xl`. */
const xlTyped = input("xl", (host, { argv }: { argv: string[] }) => {
  spawnXl(host, argv);
});

/** Who hears what xl says: latin1 text, a character a byte. */
export interface XlEars {
  out(text: string): void;
  err(text: string): void;
}

/** A command under way. */
export interface XlSession {
  /** Its exit code. */
  readonly exit: Promise<number>;
  /** Ends it where it stands, as Ctrl-C does. */
  interrupt(): void;
  /** Text typed while it runs: latin1, a character a byte. Only a console listens. */
  type(text: string): void;
}

/** A file as the host takes it. */
export function givenFile(file: CallerFile): GivenFile {
  const { name, kind } = file;
  const none = { name, kind, bytes: new Uint8Array(0), size: 0, number: "" };
  if (kind === "regular")
    return { ...none, bytes: Uint8Array.from(Buffer.from(file.base64, "base64")), size: file.size };
  return kind === "block" ? { ...none, size: file.size, number: file.number } : none;
}

/** Starts an xl command with the files it names. Its words, and its console's, go to `ears` until it ends. */
export function startXl(
  { driver, recorder }: LiveHost,
  argv: readonly string[],
  files: CallerFile[],
  ears: XlEars,
): XlSession {
  if (files.length > 0) driver.give(filesGiven, { files: files.map(givenFile) });
  let name = "";
  let ended: (status: number) => void = () => {};
  const exit = new Promise<number>((resolve) => void (ended = resolve));
  const speaks = (process: string): boolean => process === name || process === consoleChildOf(name);
  let typed = "";
  /** Keys wait until somebody is attached to a console. */
  const passKeys = (): void => {
    const process = [name, consoleChildOf(name)].find((one) => isAttached(driver.world, one));
    if (typed === "" || process === undefined) return;
    const text = typed;
    typed = "";
    driver.give(consoleTyped, { process, text });
  };
  const stopKeys = driver.afterTurn(passKeys);
  const stop = recorder.listen(({ kind, data }) => {
    // The first process that starts is this command: it starts within the input.
    if (kind === "process.exec") name ||= data.process;
    else if (kind === "stdout" && speaks(data.process)) ears.out(data.text);
    else if (kind === "stderr" && speaks(data.process)) ears.err(data.text);
    else if (kind === "process.exit" && data.process === name) {
      stop();
      stopKeys();
      ended(data.status);
    }
  });
  driver.give(xlTyped, { argv: [...argv] });
  return {
    exit,
    interrupt: () => {
      if (name !== "") driver.give(interrupted, { process: name });
    },
    type: (text) => {
      typed += text;
      passKeys();
    },
  };
}

/** What a command wrote, of the files it was to write. */
export function writtenFiles({ driver }: LiveHost, { writes }: Pick<Luggage, "writes">): WrittenFile[] {
  return driver.look((cells) =>
    writes.flatMap((name): WrittenFile[] => {
      const file = cells.get(fileCell, name);
      if (file?.kind !== "regular") return [];
      return [{ name, base64: Buffer.from(file.bytes).toString("base64"), size: file.size }];
    }),
  );
}

/** Forgets files of dom0 that are safe outside. */
export function forgetFiles({ driver }: LiveHost, names: string[]): void {
  if (names.length > 0) driver.give(filesTaken, { names });
}
