// SPDX-License-Identifier: Apache-2.0
//
// Arguments of a routine that acts for the same process, on the same domain, as
// the one that calls it.

/** The same process. */
export const sameProcess = ({ process }: { process: string }): { process: string } => ({ process });

/** The same process and the same domain. */
export const sameDomain = ({
  process,
  domid,
}: {
  process: string;
  domid: number;
}): { process: string; domid: number } => ({
  process,
  domid,
});
