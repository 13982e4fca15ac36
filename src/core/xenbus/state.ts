// SPDX-License-Identifier: Apache-2.0
//
// The states of a paravirtual device, as the two ends show them to each other
// in `…/state` (xen/include/public/io/xenbus.h, enum xenbus_state).

/** `enum xenbus_state`. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;

export type XenbusState = (typeof XenbusState)[keyof typeof XenbusState];

const names = Object.keys(XenbusState);

/** The state's name, for people: `xenbus_strstate`. */
export function xenbusStrState(state: number): string {
  return names[state] ?? "INVALID";
}

const LEADING_NUMBER = /^\s*[+-]?\d+/;

/** Whether `%d` reads a number of a node's value. */
export function isNumber(value: string): boolean {
  return LEADING_NUMBER.test(value);
}

/** What `%d` reads of a state node's value: the leading number, Unknown where there is none. */
export function parseState(value: string): number {
  const found = LEADING_NUMBER.exec(value);
  return found === null ? XenbusState.Unknown : Number(found[0]);
}
