// SPDX-License-Identifier: Apache-2.0
//
// What commands and a live host say to each other beside requests and answers.

/** What a command says of the files it was given: they are safe, or could not be written. */
export const FILES = { written: "written", kept: "kept" } as const;
