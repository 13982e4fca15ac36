// SPDX-License-Identifier: Apache-2.0
//
// Requests about nodes: READ, WRITE, MKDIR, RM, DIRECTORY, DIRECTORY_PART, and
// what paths may be.

import type { Case } from "../case.ts";

/** The longest value that fits beside the longest path a case uses. */
const LONG = "v".repeat(3000);

export const NODES: readonly Case[] = [
  {
    name: "nodes/write-read",
    about: "a value is bytes; READ gives it back without a NUL of its own",
    lines: [
      "A WRITE %/x|hello => OK|",
      "A READ %/x| => hello",
      "A WRITE %/x|\\x00\\xff\\x0a => OK|",
      "A READ %/x| => |\\xff\n",
      "A WRITE %/x| => OK|",
      "B READ %/x| => ",
      `A WRITE %/x|${LONG} => 4.17,4.23: OK|; oxenstored: E2BIG`,
      `A READ %/x| => 4.17,4.23: ${LONG}; oxenstored: `,
    ],
  },
  {
    name: "nodes/write-creates-parents",
    about: "WRITE and MKDIR create what is missing above, empty",
    lines: [
      "A WRITE %/a/b/c|1 => OK|",
      "A READ %/a/b| => ",
      "A DIRECTORY %/a| => b|",
      "A MKDIR %/m/n| => OK|",
      "A READ %/m/n| => ",
      "A DIRECTORY %| => 4.17,4.23: a|m|; oxenstored: a|m|",
    ],
  },
  {
    name: "nodes/missing",
    about: "a node that is not there",
    lines: [
      "A READ %/none| => ENOENT",
      "A DIRECTORY %/none| => ENOENT",
      "A DIRECTORY_PART %/none|0| => 4.17,4.23: ENOENT; oxenstored: ENOSYS",
      "A GET_PERMS %/none| => ENOENT",
      "A SET_PERMS %/none|n0| => ENOENT",
      "A READ %/none/below| => ENOENT",
    ],
  },
  {
    name: "nodes/mkdir-existing",
    about: "MKDIR of what exists is fine, keeps the value, and is no change",
    lines: [
      "A WRITE %/x|1 => OK|",
      "B WATCH %|t| => OK|",
      "B hears %|t|",
      "A MKDIR %/x| => OK|",
      "A READ %/x| => 1",
      "B hears nothing",
    ],
  },
  {
    name: "nodes/rm",
    about: "RM takes the tree; of a missing node it is fine where the parent exists",
    lines: [
      "A WRITE %/x/y/z|1 => OK|",
      "A RM %/x| => OK|",
      "A READ %/x/y/z| => ENOENT",
      "A DIRECTORY %| => ",
      "A RM %/x| => OK|",
      "A RM %/x/y| => ENOENT",
    ],
  },
  {
    name: "nodes/rm-root",
    about: "the root cannot be removed",
    only: ["4.17", "4.23"],
    lines: ["A WRITE %/x|1 => OK|", "A RM /| => EINVAL", "A READ %/x| => 1"],
  },
  {
    name: "nodes/directory",
    about: "DIRECTORY lists names in the order of creation; oxenstored in that of their bytes",
    lines: [
      "A WRITE %/zz|1 => OK|",
      "A WRITE %/a|1 => OK|",
      "A WRITE %/m|1 => OK|",
      "A DIRECTORY %| => 4.17,4.23: zz|a|m|; oxenstored: a|m|zz|",
      "A RM %/a| => OK|",
      "A WRITE %/a|1 => OK|",
      "A DIRECTORY %| => 4.17,4.23: zz|m|a|; oxenstored: a|m|zz|",
    ],
  },
  {
    name: "nodes/directory-long",
    about: "a list of more than 4096 bytes does not fit into a reply: E2BIG, and in parts",
    lines: [
      ...Array.from(
        { length: 100 },
        (_, at) => `A WRITE %/${"n".repeat(45)}${String(at).padStart(3, "0")}|1 => OK|`,
      ),
      // oxenstored answers with a message longer than a socket's may be.
      "A DIRECTORY %| => 4.17,4.23: E2BIG; oxenstored: any",
      "A DIRECTORY_PART %|0| => 4.17,4.23: ~\\d+\\|n{45}000\\|.*; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|4851| => 4.17,4.23: ~\\d+\\|n{45}099\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|4900| => 4.17,4.23: ~\\d+\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|100000| => 4.17,4.23: ~\\d+\\|\\|; oxenstored: ENOSYS",
    ],
  },
  {
    name: "nodes/directory-part",
    about: "DIRECTORY_PART: a number for the list as it is, names, and a NUL more at the end",
    lines: [
      "A WRITE %/a|1 => OK|",
      "A WRITE %/bb|1 => OK|",
      "A DIRECTORY_PART %|0| => 4.17,4.23: ~\\d+\\|a\\|bb\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|2| => 4.17,4.23: ~\\d+\\|bb\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|5| => 4.17,4.23: ~\\d+\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %/a|0| => 4.17,4.23: ~\\d+\\|\\|; oxenstored: ENOSYS",
      "A DIRECTORY_PART %| => 4.17,4.23: EINVAL; oxenstored: ENOSYS",
      "A DIRECTORY_PART %|0|0| => 4.17,4.23: EINVAL; oxenstored: ENOSYS",
    ],
  },
  {
    name: "nodes/paths",
    about: "which paths there are",
    lines: [
      ...["//", "%/", "%//x", "%/x/", "%/a b", "%/a.b", "%/a:b", "%/a\\xe9", "%/\\x7f", ""].map(
        (path) => `A WRITE ${path}|1 => EINVAL`,
      ),
      ...["%/a-b", "%/a_b", "%/a@b", "%/@x", "%/0", "%/Z"].map((path) => `A WRITE ${path}|1 => OK|`),
      "A READ @releaseDomain| => 4.17,4.23: EINVAL; oxenstored: any",
    ],
  },
  {
    name: "nodes/path-length",
    about: "the longest path",
    lines: [
      // The case's own node takes a part of it; `-` fills up to the edge and beyond.
      `A WRITE /${"p".repeat(1022)}|1 => OK|`,
      `A RM /${"p".repeat(1022)}| => OK|`,
      `A WRITE /${"p".repeat(1024)}|1 => 4.17,4.23: OK|; oxenstored: EINVAL`,
      `A RM /${"p".repeat(1024)}| => 4.17,4.23: OK|; oxenstored: EINVAL`,
      `A WRITE /${"p".repeat(2047)}|1 => 4.17,4.23: OK|; oxenstored: EINVAL`,
      `A RM /${"p".repeat(2047)}| => 4.17,4.23: OK|; oxenstored: EINVAL`,
      `A WRITE /${"p".repeat(2048)}|1 => 4.17: EINVAL; 4.23: OK|; oxenstored: EINVAL`,
      `A RM /${"p".repeat(2048)}| => 4.17: EINVAL; 4.23: OK|; oxenstored: EINVAL`,
    ],
  },
  {
    name: "nodes/relative-path",
    about: "a path without a slash is below the home of the connection's domain, for a socket domain 0",
    lines: [
      "A WRITE conformance-relative|1 => OK|",
      "A READ /local/domain/0/conformance-relative| => 1",
      "A RM /local/domain/0/conformance-relative| => OK|",
      "A READ conformance-relative| => ENOENT",
    ],
  },
  {
    name: "nodes/malformed",
    about: "payloads without the strings that are asked for",
    lines: [
      // Where there is not one string, 4.17 has nothing to look up, and answers with the last errno there was.
      ...["READ %/x", "READ %/x||", "READ %/x|more", "DIRECTORY %/x", "MKDIR %/x", "RM %/x"].map(
        (request) => `A ${request} => 4.23,oxenstored: EINVAL; 4.17: EINVAL or ENOENT or EACCES or ENOMEM`,
      ),
      // oxenstored answers a request without a payload when the next comes.
      ...["READ ", "GET_PERMS ", "DIRECTORY "].map(
        (request) =>
          `A ${request} => 4.23: EINVAL; 4.17: EINVAL or ENOENT or EACCES or ENOMEM; oxenstored: none or EINVAL or ENOSYS`,
      ),
      "A WRITE %/x => EINVAL",
      "A WRITE  => 4.17,4.23: EINVAL; oxenstored: none or EINVAL or ENOSYS",
      "A SET_PERMS %/x| => EINVAL",
    ],
  },
  {
    name: "nodes/unknown-requests",
    about: "requests that are none; the connection goes on",
    lines: [
      ...[15, 16, 20, 27, 200, 65_535, 4_294_967_295].map((type) => `A ${type} x| => ENOSYS`),
      "A READ %/x| => ENOENT",
    ],
  },
  {
    name: "nodes/permissions",
    about: "GET_PERMS and SET_PERMS: an owner, and who else may what",
    lines: [
      "A WRITE %/x|1 => OK|",
      "A GET_PERMS %/x| => n0|",
      "A SET_PERMS %/x|b0|r1|w2|n3| => OK|",
      "A GET_PERMS %/x| => 4.17,4.23: b0|r1|w2|n3|; oxenstored: any",
      "A SET_PERMS %/x| => EINVAL",
      "A SET_PERMS %/x|x0| => EINVAL",
      "A SET_PERMS %/x|r| => EINVAL",
      "A SET_PERMS %/x|0| => EINVAL",
      "A SET_PERMS %/x|r0|q1| => EINVAL",
    ],
  },
  {
    name: "nodes/permissions-inherited",
    about: "a new node has its parent's permissions",
    lines: [
      "A MKDIR %/x| => OK|",
      "A SET_PERMS %/x|r0|w0| => OK|",
      "A WRITE %/x/y/z|1 => OK|",
      "A GET_PERMS %/x/y/z| => r0|w0|",
    ],
  },
];
