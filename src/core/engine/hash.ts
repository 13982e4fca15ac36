// SPDX-License-Identifier: Apache-2.0
//
// The identity of a state as two 32-bit lanes. A host's hash is the sum of its
// cells' hashes, so that a step costs what it touched; a deadline enters the
// sum linearly, so that moving the clock costs nothing a timer.

import type { CellType, Plain } from "./cells.ts";

/** Two independently mixed 32-bit lanes. */
export interface Hash {
  a: number;
  b: number;
}

/** The hash as text, for sets of states and for reports. */
export function hashText({ a, b }: Hash): string {
  return (a >>> 0).toString(16).padStart(8, "0") + (b >>> 0).toString(16).padStart(8, "0");
}

// Odd multipliers with well-spread bits (from the fractional parts of irrational numbers).
const MIX_A = 0x9e3779b1 | 0;
const MIX_B = 0x85ebca77 | 0;
const STIR_A = 0xc2b2ae3d | 0;
const STIR_B = 0x27d4eb2f | 0;

// The lanes of the value being hashed: module-level so that hashing allocates nothing.
let laneA = 0;
let laneB = 0;

function mix(word: number): void {
  laneA = Math.imul((laneA ^ word) + 0x165667b1, MIX_A);
  laneA ^= laneA >>> 15;
  laneB = Math.imul((laneB + word) ^ 0x1b873593, MIX_B);
  laneB ^= laneB >>> 13;
}

const doubles = new Float64Array(1);
const words = new Int32Array(doubles.buffer);

function mixNumber(value: number): void {
  if ((value | 0) === value && !Object.is(value, -0)) {
    mix(1);
    mix(value);
    return;
  }
  doubles[0] = value;
  mix(2);
  mix(words[0] as number);
  mix(words[1] as number);
}

// Names of fields, steps and paths come again and again: their lanes are counted once.
const KNOWN_STRINGS_MAX = 100_000;
const knownStrings = new Map<string, Hash>();

function stringLanes(value: string): Hash {
  const known = knownStrings.get(value);
  if (known !== undefined) return known;
  const outerA = laneA;
  const outerB = laneB;
  laneA = STIR_A;
  laneB = STIR_B;
  mix(value.length);
  for (let at = 0; at < value.length; at++) mix(value.charCodeAt(at));
  const lanes = { a: laneA, b: laneB };
  laneA = outerA;
  laneB = outerB;
  if (knownStrings.size < KNOWN_STRINGS_MAX) knownStrings.set(value, lanes);
  return lanes;
}

/** Mixes a word into each lane. */
function mixTwo(a: number, b: number): void {
  laneA = Math.imul((laneA ^ a) + 0x165667b1, MIX_A);
  laneA ^= laneA >>> 15;
  laneB = Math.imul((laneB + b) ^ 0x1b873593, MIX_B);
  laneB ^= laneB >>> 13;
}

function mixString(value: string): void {
  const { a, b } = stringLanes(value);
  mixTwo(a ^ 3, b ^ 3);
}

function mixBytes(value: Uint8Array): void {
  mix(4);
  mix(value.length);
  let at = 0;
  for (; at + 4 <= value.length; at += 4) {
    mix(
      ((value[at] as number) << 24) |
        ((value[at + 1] as number) << 16) |
        ((value[at + 2] as number) << 8) |
        (value[at + 3] as number),
    );
  }
  for (; at < value.length; at++) mix(value[at] as number);
}

/** The lanes of fields' names by name; null for fields that are skipped. */
type FieldLanes = Map<string, Hash | null>;

function mixValue(value: Plain, fields: FieldLanes): void {
  switch (typeof value) {
    case "number":
      return mixNumber(value);
    case "string":
      return mixString(value);
    case "boolean":
      return mix(value ? 6 : 7);
    case "bigint":
      mix(8);
      return mixString(value.toString(16));
    case "undefined":
      return mix(9);
    default:
      return value === null ? mix(10) : mixObject(value, fields);
  }
}

function mixObject(value: Plain & object, fields: FieldLanes): void {
  if (Array.isArray(value)) {
    mix(11);
    mix(value.length);
    for (const item of value as readonly Plain[]) mixValue(item, fields);
  } else if (value instanceof Uint8Array) mixBytes(value);
  else if (value instanceof Map) {
    mix(12);
    mix(value.size);
    for (const [key, item] of value as ReadonlyMap<string | number, Plain>) {
      mixValue(key, fields);
      mixValue(item, fields);
    }
  } else mixFields(value as { readonly [field: string]: Plain }, fields, fields);
}

/** Fields are summed, so that their order does not matter. `below` is for the fields of fields. */
function mixFields(value: { readonly [field: string]: Plain }, fields: FieldLanes, below: FieldLanes): void {
  const outerA = laneA;
  const outerB = laneB;
  let sumA = 0;
  let sumB = 0;
  for (const field in value) {
    let lanes = fields.get(field);
    if (lanes === null) continue;
    if (lanes === undefined) fields.set(field, (lanes = stringLanes(field)));
    laneA = lanes.a;
    laneB = lanes.b;
    mixValue(value[field], below);
    sumA = (sumA + laneA) | 0;
    sumB = (sumB + laneB) | 0;
  }
  laneA = outerA;
  laneB = outerB;
  mix(13);
  mixTwo(sumA, sumB);
}

function finish(out: Hash): void {
  out.a = Math.imul(laneA ^ (laneA >>> 16), STIR_A) ^ laneA;
  out.b = Math.imul(laneB ^ (laneB >>> 14), STIR_B) ^ laneB;
}

/** How a type's fields count, at the top of a cell and below. */
interface FieldPlan {
  top: FieldLanes;
  below: FieldLanes;
}

const plans: FieldPlan[] = [];

function planOf(type: CellType<object>): FieldPlan {
  let plan = plans[type.index];
  if (plan === undefined) {
    // Provenance is skipped at any depth; deadlines, at the top only, count apart.
    const below: FieldLanes = new Map([...type.provenance].map((field) => [field, null]));
    const top: FieldLanes = new Map(below);
    for (const field of type.deadlines) top.set(field, null);
    plans[type.index] = plan = { top, below };
  }
  return plan;
}

/** Identifiers are no objects: they have no fields. */
const NO_FIELDS: FieldLanes = new Map();

/** What a cell's type and identifier give its hash: the same for every content. */
export function seedOf(type: CellType<object>, id: string | number): Hash {
  laneA = 0x243f6a88;
  laneB = 0x13198a2e | 0;
  mixString(type.name);
  mixValue(id, NO_FIELDS);
  return { a: laneA, b: laneB };
}

/** What a cell adds to its host's hash, its deadlines apart. */
export function hashCell(type: CellType<object>, seed: Hash, content: object, out: Hash): void {
  laneA = seed.a;
  laneB = seed.b;
  const { top, below } = planOf(type);
  mixFields(content as { readonly [field: string]: Plain }, top, below);
  finish(out);
}

/** The factor with which one deadline of a cell counts: odd, so that no bit of the time is lost. */
export interface DeadlineFactor extends Hash {
  readonly field: string;
}

/** The factors of a cell's deadlines: the same for every content. */
export function deadlineFactors(type: CellType<object>, id: string | number): DeadlineFactor[] {
  return [...type.deadlines].map((field) => {
    laneA = 0x3707344a | 0;
    laneB = 0x299f31d0 | 0;
    mixString(type.name);
    mixValue(id, NO_FIELDS);
    mixString(field);
    const factor = { field, a: 0, b: 0 };
    finish(factor);
    factor.a |= 1;
    factor.b |= 1;
    return factor;
  });
}
