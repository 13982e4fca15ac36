// SPDX-License-Identifier: Apache-2.0
//
// Single damages: each changes something in place and returns what repairs it.

export interface Mutation {
  what: string;
  /** Damages the recording and returns what repairs it. */
  apply(): () => void;
}

export function set<T extends object, K extends keyof T>(object: T, key: K, value: T[K]): () => void {
  const before = object[key];
  object[key] = value;
  return () => (object[key] = before);
}

export function swap<T extends object, K extends keyof T>(one: T, other: T, key: K): () => void {
  const before = [one[key], other[key]] as const;
  [one[key], other[key]] = [before[1], before[0]];
  return () => ([one[key], other[key]] = [before[0], before[1]]);
}

export function append<T>(list: T[], item: T): () => void {
  list.push(item);
  return () => list.pop();
}

export function remove<T>(list: T[], items: T[]): () => void {
  const before = [...list];
  const kept = list.filter((item) => !items.includes(item));
  list.splice(0, list.length, ...kept);
  return () => list.splice(0, list.length, ...before);
}

export function removeAt<T>(list: T[], at: number): () => void {
  const [item] = list.splice(at, 1);
  return () => list.splice(at, 0, item!);
}
