// SPDX-License-Identifier: Apache-2.0
//
// What the pure folders may use beyond ECMAScript: the few globals that every
// JavaScript engine has and that give the same answer every time.

declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array): string;
}

declare function structuredClone<T>(value: T): T;
