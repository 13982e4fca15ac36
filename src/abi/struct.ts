// SPDX-License-Identifier: Apache-2.0
//
// What the generated tables of Xen's public structures are made of: fields that
// read and write themselves at an address. All numbers are little-endian (x86).

/** One field of a structure. `at` is where the structure starts in the view. */
export interface Field<T> {
  readonly offset: number;
  readonly size: number;
  get(view: DataView, at?: number): T;
  set(view: DataView, value: T, at?: number): void;
}

/** A number field. Values outside its width are truncated, as a C assignment does. */
export type NumberField = Field<number>;

/** Unsigned 8 bits. */
export function u8(offset: number): NumberField {
  return {
    offset,
    size: 1,
    get: (view, at = 0) => view.getUint8(at + offset),
    set: (view, value, at = 0) => view.setUint8(at + offset, value),
  };
}

/** Unsigned 16 bits. */
export function u16(offset: number): NumberField {
  return {
    offset,
    size: 2,
    get: (view, at = 0) => view.getUint16(at + offset, true),
    set: (view, value, at = 0) => view.setUint16(at + offset, value, true),
  };
}

/** Unsigned 32 bits. */
export function u32(offset: number): NumberField {
  return {
    offset,
    size: 4,
    get: (view, at = 0) => view.getUint32(at + offset, true),
    set: (view, value, at = 0) => view.setUint32(at + offset, value, true),
  };
}

/** Signed 16 bits. */
export function i16(offset: number): NumberField {
  return {
    offset,
    size: 2,
    get: (view, at = 0) => view.getInt16(at + offset, true),
    set: (view, value, at = 0) => view.setInt16(at + offset, value, true),
  };
}

/** Signed 32 bits. */
export function i32(offset: number): NumberField {
  return {
    offset,
    size: 4,
    get: (view, at = 0) => view.getInt32(at + offset, true),
    set: (view, value, at = 0) => view.setInt32(at + offset, value, true),
  };
}

const TWO_32 = 0x1_0000_0000;

/**
 * Unsigned 64 bits as a number: addresses, frame numbers, counts, all below
 * 2^53 where they are valid. Larger values come out rounded, still large; where
 * every bit counts, use `getBig` and `setBig`.
 */
export function u64(offset: number): NumberField {
  return {
    offset,
    size: 8,
    get: (view, at = 0) => view.getUint32(at + offset + 4, true) * TWO_32 + view.getUint32(at + offset, true),
    set: (view, value, at = 0) => {
      view.setUint32(at + offset, value >>> 0, true);
      view.setUint32(at + offset + 4, Math.floor(value / TWO_32), true);
    },
  };
}

/** Signed 64 bits as a number, exact within ±2^53. */
export function i64(offset: number): NumberField {
  return {
    offset,
    size: 8,
    get: (view, at = 0) => view.getInt32(at + offset + 4, true) * TWO_32 + view.getUint32(at + offset, true),
    set: (view, value, at = 0) => {
      view.setUint32(at + offset, value >>> 0, true);
      view.setInt32(at + offset + 4, Math.floor(value / TWO_32), true);
    },
  };
}

/** All bits of a 64-bit field. */
export function getBig(view: DataView, field: NumberField, at = 0): bigint {
  return view.getBigUint64(at + field.offset, true);
}

/** Sets all bits of a 64-bit field; more than 64 are cut off. */
export function setBig(view: DataView, field: NumberField, value: bigint, at = 0): void {
  view.setBigUint64(at + field.offset, BigInt.asUintN(64, value), true);
}

/** An array of bytes or of characters, or anything whose inside has its own table. */
export function bytes(offset: number, size: number): Field<Uint8Array> {
  return {
    offset,
    size,
    get: (view, at = 0) => new Uint8Array(view.buffer, view.byteOffset + at + offset, size).slice(),
    set: (view, value, at = 0) => {
      const target = new Uint8Array(view.buffer, view.byteOffset + at + offset, size);
      target.fill(0);
      target.set(value.subarray(0, size));
    },
  };
}

/** A view of bytes, for fields to read and write in. */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** A zeroed structure. */
export function zeroed(struct: { readonly sizeof: number }): DataView {
  return new DataView(new ArrayBuffer(struct.sizeof));
}

/** The bytes under a view, not copied. */
export function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
