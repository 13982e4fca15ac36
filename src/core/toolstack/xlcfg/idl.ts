// SPDX-License-Identifier: Apache-2.0
//
// libxl's interface description language, as values: each type knows its
// initial value, its JSON and whether a field of it is left out as default.

/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A libxl type: how its values start, when JSON leaves them out, and both JSON directions. */
export interface Type<T> {
  /** A fresh initial value, as libxl_TYPE_init leaves it. */
  init(): T;
  /** Whether libxl_TYPE_gen_json leaves a field of this type and value out. */
  isDefault(value: T): boolean;
  toJson(value: T): Json;
  /** The value, or undefined when the JSON is of another shape. */
  fromJson(json: Json): T | undefined;
  /** For a keyed union: the member's name, which is part of the JSON key. */
  discriminator?(value: T): string;
}

/** The TypeScript type of a libxl type's values. */
export type ValueOf<X> = X extends Type<infer T> ? T : never;

const isString = (json: Json): json is string => typeof json === "string";
const isNumber = (json: Json): json is number => typeof json === "number";

function scalar<T extends Json>(
  initial: T,
  isDefault: (value: T) => boolean,
  accepts: (json: Json) => json is T,
): Type<T> {
  return {
    init: () => initial,
    isDefault,
    toJson: (value) => value,
    fromJson: (json) => (accepts(json) ? json : undefined),
  };
}

/**
 * A C string, null where C has NULL. Also libxl_uuid, 36 lower-case characters,
 * and libxl_mac, `aa:bb:cc:dd:ee:ff`; null while they are all zero.
 */
export const string: Type<string | null> = scalar<string | null>(
  null,
  (value) => value === null,
  (json): json is string | null => json === null || isString(json),
);

/** An integer that C initialises to `initial` and JSON leaves out while it has that value. */
export const integer = (initial = 0): Type<number> => scalar(initial, (value) => value === initial, isNumber);

/** An integer with "not set" as its initial value (LIBXL_MEMKB_DEFAULT, LIBXL_INVALID_GFN, …): null. */
export const optionalInteger: Type<number | null> = scalar<number | null>(
  null,
  (value) => value === null,
  (json): json is number | null => json === null || isNumber(json),
);

/** C's bool. */
export const bool: Type<boolean> = scalar<boolean>(
  false,
  (value) => !value,
  (json): json is boolean => typeof json === "boolean",
);

/** libxl_defbool: true, false, or null for "libxl decides". JSON has the strings "True" and "False". */
export const defbool: Type<boolean | null> = {
  init: () => null,
  isDefault: (value) => value === null,
  toJson: (value) => (value === null ? "<default>" : value ? "True" : "False"),
  fromJson: (json) =>
    json === "True" ? true : json === "False" ? false : json === "<default>" ? null : undefined,
};

/** libxl_bitmap: the set bits in rising order. */
export const bitmap: Type<number[]> = {
  init: () => [],
  isDefault: (value) => value.length === 0,
  toJson: (value) => [...value],
  fromJson: (json) => (Array.isArray(json) && json.every(isNumber) ? [...json] : undefined),
};

/** libxl_string_list. */
export const stringList: Type<string[]> = {
  init: () => [],
  isDefault: (value) => value.length === 0,
  toJson: (value) => [...value],
  fromJson: (json) => (Array.isArray(json) && json.every(isString) ? [...json] : undefined),
};

/** An enumeration by the names libxl_TYPE_to_string gives. JSON leaves out `initial` only. */
export function enumeration<const N extends readonly string[]>(
  names: N,
  initial: N[number],
): Type<N[number]> {
  return {
    init: () => initial,
    isDefault: (value) => value === initial,
    toJson: (value) => value,
    fromJson: (json) => (isString(json) && names.includes(json) ? json : undefined),
  };
}

/** An array; JSON leaves out an empty one. */
export function array<T>(element: Type<T>): Type<T[]> {
  return {
    init: () => [],
    isDefault: (value) => value.length === 0,
    toJson: (value) => value.map((item) => element.toJson(item)),
    fromJson: (json) => {
      if (!Array.isArray(json)) return undefined;
      const items = json.map((item) => element.fromJson(item));
      return items.some((item) => item === undefined) ? undefined : (items as T[]);
    },
  };
}

/** The same type, printed even while it is the default. */
export const alwaysPrinted = <T>(type: Type<T>): Type<T> => ({ ...type, isDefault: () => false });

type Fields = Record<string, Type<unknown>>;
type StructOf<F extends Fields> = { -readonly [K in keyof F]: ValueOf<F[K]> };

/** The JSON key of a field: a keyed union's is `type.pv`, anything else's its own name. */
function jsonKey(type: Type<unknown>, name: string, value: unknown): string {
  return type.discriminator === undefined ? name : type.discriminator(value);
}

/** A struct. libxl always prints nested structs, even empty ones (gentypes.py, get_default_expr). */
export function struct<F extends Fields>(fields: F): Type<StructOf<F>> {
  const entries = Object.entries(fields);
  const init = (): StructOf<F> =>
    Object.fromEntries(entries.map(([name, type]) => [name, type.init()])) as StructOf<F>;
  return {
    init,
    isDefault: () => false,
    toJson: (value) => {
      const json: { [key: string]: Json } = {};
      for (const [name, type] of entries) {
        const field = (value as Record<string, unknown>)[name];
        if (!type.isDefault(field)) json[jsonKey(type, name, field)] = type.toJson(field);
      }
      return json;
    },
    fromJson: (json) => {
      if (json === null || typeof json !== "object" || Array.isArray(json)) return undefined;
      const value = init() as Record<string, unknown>;
      for (const [name, type] of entries) {
        const read = readField(json, name, type);
        if (read === undefined) return undefined;
        value[name] = read.value;
      }
      return value as StructOf<F>;
    },
  };
}

/** One field out of a JSON object: its initial value where absent, undefined where malformed. */
function readField(
  json: { [key: string]: Json },
  name: string,
  type: Type<unknown>,
): { value: unknown } | undefined {
  if (type.discriminator !== undefined) {
    const value = type.fromJson(json);
    return value === undefined ? undefined : { value };
  }
  const field = json[name];
  if (field === undefined) return { value: type.init() };
  const value = type.fromJson(field);
  return value === undefined ? undefined : { value };
}

type UnionOf<K extends string, M extends Record<string, Type<object>>> = {
  [N in keyof M & string]: { [P in K]: N } & ValueOf<M[N]>;
}[keyof M & string];

/**
 * A keyed union: `{ [keyName]: member, ...fields of that member }`. In JSON it is
 * one entry of the surrounding object with the key `keyName.member`, except for
 * a member called "unset": C's zero where the enumeration has no name for it.
 */
export function keyedUnion<const K extends string, M extends Record<string, Type<object>>>(
  keyName: K,
  members: M,
  initial: keyof M & string,
): Type<UnionOf<K, M>> & { initMember(member: keyof M & string): UnionOf<K, M> } {
  type Value = UnionOf<K, M>;
  const memberType = (name: string): Type<object> => members[name] as Type<object>;
  const initMember = (name: string): Value =>
    ({ [keyName]: name, ...memberType(name).init() }) as unknown as Value;
  const keyOf = (value: Value): string => (value as Record<string, string>)[keyName] as string;
  return {
    initMember,
    init: () => initMember(initial),
    isDefault: (value) => keyOf(value) === "unset",
    toJson: (value) => memberType(keyOf(value)).toJson(value),
    discriminator: (value) => `${keyName}.${keyOf(value)}`,
    fromJson: (json) => {
      if (json === null || typeof json !== "object" || Array.isArray(json)) return undefined;
      const name = Object.keys(members).find((member) => json[`${keyName}.${member}`] !== undefined);
      if (name === undefined) return initMember(initial);
      const value = memberType(name).fromJson(json[`${keyName}.${name}`] as Json);
      return value === undefined ? undefined : ({ [keyName]: name, ...value } as unknown as Value);
    },
  };
}
