// SPDX-License-Identifier: Apache-2.0
//
// What a command cannot do, said so that the user can go on.

/** A failure of a command: one clear sentence, and the next thing to try. */
export class Problem extends Error {
  /** 1: the thing asked about is bad. 2: the command line is. 126, 127: as shells have it of what they run. */
  readonly code: 1 | 2 | 126 | 127;
  /** One command to copy, or a few words; null where there is none. */
  readonly next: string | null;

  constructor(message: string, next: string | null, code: Problem["code"] = 1) {
    super(message);
    this.next = next;
    this.code = code;
  }
}

/** A command line that says something impossible; `next` defaults to the command's help. */
export function usage(message: string): Problem {
  return new Problem(message, null, 2);
}

const SYSTEM_WORDS: { readonly [code: string]: string } = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  ECONNREFUSED: "nobody listens there",
  EEXIST: "it exists already",
  EDQUOT: "the disk quota is used up",
  EFBIG: "it is larger than a file may be",
  EISDIR: "it is a directory",
  ENOENT: "there is no such file or directory",
  ENOSPC: "no space left on the device",
  ENOTDIR: "part of the path is no directory",
  ENOEXEC: "it is no program",
  ENOTSOCK: "it is no socket",
  EPERM: "the system does not allow it",
  EROFS: "the file system is read-only",
};

/** What the system said of a failed call, in words. */
export function systemWords(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === undefined ? undefined : SYSTEM_WORDS[code]) ?? message;
}
