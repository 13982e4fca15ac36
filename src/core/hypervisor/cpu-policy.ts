// SPDX-License-Identifier: Apache-2.0
//
// What processors say of themselves: the policies a toolstack reads, adapts and
// gives to domains (xen/lib/x86/cpuid.c, xen/arch/x86/cpu-policy.c). No guest
// instruction is executed, so they are data: kept, checked for form, given back.

import { cellType } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";

/** One leaf as CPUID gives it; `subleaf` is `NO_SUBLEAF` where the leaf has none. */
export interface CpuidLeaf {
  leaf: number;
  subleaf: number;
  a: number;
  b: number;
  c: number;
  d: number;
}

/** A model-specific register a policy has. */
export interface MsrEntry {
  index: number;
  value: bigint;
}

/** A serialised policy: leaves in Xen's order. */
export interface CpuPolicy {
  leaves: CpuidLeaf[];
  msrs: MsrEntry[];
}

/** XEN_CPUID_NO_SUBLEAF */
export const NO_SUBLEAF = 0xffffffff;
/** CPUID_MAX_SERIALISED_LEAVES: what a caller must have room for. */
export const MAX_LEAVES = 120;
/** MSR_MAX_SERIALISED_ENTRIES */
export const MAX_MSRS = 2;

const MSR_INTEL_PLATFORM_INFO = 0xce;
const MSR_ARCH_CAPABILITIES = 0x10a;

/** What a domain's policy is; without a cell it is the machine's. */
const cpuPolicyCell = cellType<CpuPolicy>("cpu-policy");

/**
 * The machine's features, in the order of Xen's featureset words: 1d 1c e1d e1c
 * Da1 7b0 7c0 e7d e8b 7d0 7a1 e21a 7b1 7d2 7c1 7d1 m10Al m10Ah e21c. The first
 * eight are what `xl info` prints as hw_caps (recording _boot), and VME, which
 * every real processor has and libvirt looks for.
 */
export const featureset: readonly number[] = [
  0x1fcbf3ff, 0xc2d8220b, 0xec500800, 0x00000077, 0, 0x01884389, 0x0000020c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0,
];

/** CPUID's twelve characters in b, d, c. */
const VENDOR = { b: 0x68747541, c: 0x444d4163, d: 0x69746e65 } as const;
/** Family 15, model 107, stepping 1. */
const SIGNATURE = 0x00060fb1;
const BASIC_MAX = 0xd;
const EXTENDED_MAX = 0x80000008;
/** 40 bits of physical addresses, 48 of virtual ones. */
const ADDRESS_BITS = 0x3028;
const BRAND = "Xenolith virtual processor";

function leaf(number: number, subleaf: number, registers: Partial<CpuidLeaf> = {}): CpuidLeaf {
  return { leaf: number, subleaf, a: 0, b: 0, c: 0, d: 0, ...registers };
}

function word(index: number): number {
  return featureset[index] ?? 0;
}

/** Leaves 0x80000002 to 4: 48 characters. */
function brandLeaves(): CpuidLeaf[] {
  const text = BRAND.padEnd(48, "\0");
  const at = (byte: number): number =>
    [3, 2, 1, 0].reduce((value, i) => value * 256 + text.charCodeAt(byte + i), 0) >>> 0;
  return [0, 1, 2].map((n) =>
    leaf(0x80000002 + n, NO_SUBLEAF, {
      a: at(n * 16),
      b: at(n * 16 + 4),
      c: at(n * 16 + 8),
      d: at(n * 16 + 12),
    }),
  );
}

/** The policy of the machine, which is the default and the maximum of every kind of domain. */
export function machinePolicy(): CpuPolicy {
  const basic = Array.from({ length: BASIC_MAX + 1 }, (_, number): CpuidLeaf[] => {
    if (number === 0) return [leaf(0, NO_SUBLEAF, { a: BASIC_MAX, ...VENDOR })];
    if (number === 1) return [leaf(1, NO_SUBLEAF, { a: SIGNATURE, b: 0x800, c: word(1), d: word(0) })];
    if (number === 7) return [leaf(7, 0, { b: word(5), c: word(6), d: word(9) })];
    if (number === 4 || number === 0xb) return [leaf(number, 0)];
    if (number === 0xd) return [leaf(0xd, 0), leaf(0xd, 1, { a: word(4) })];
    return [leaf(number, NO_SUBLEAF)];
  });
  const extended = [
    leaf(0x80000000, NO_SUBLEAF, { a: EXTENDED_MAX, ...VENDOR }),
    leaf(0x80000001, NO_SUBLEAF, { a: SIGNATURE, c: word(3), d: word(2) }),
    ...brandLeaves(),
    leaf(0x80000005, NO_SUBLEAF),
    leaf(0x80000006, NO_SUBLEAF),
    leaf(0x80000007, NO_SUBLEAF, { d: word(7) }),
    leaf(0x80000008, NO_SUBLEAF, { a: ADDRESS_BITS, b: word(8) }),
  ];
  const hypervisor = [leaf(0x40000000, NO_SUBLEAF), leaf(0x40000100, NO_SUBLEAF)];
  return {
    leaves: [...basic.flat(), ...hypervisor, ...extended],
    msrs: [
      { index: MSR_INTEL_PLATFORM_INFO, value: 0n },
      { index: MSR_ARCH_CAPABILITIES, value: 0n },
    ],
  };
}

/** A domain's policy. */
export function domainPolicy(cells: Cells, domid: number): CpuPolicy {
  return (cells.get(cpuPolicyCell, domid) as CpuPolicy | undefined) ?? machinePolicy();
}

/** Where a policy that is refused is wrong: -1 (as unsigned) where it is not. */
export interface PolicyError {
  leaf: number;
  subleaf: number;
  msr: number;
}

/** Subleaves a leaf can have; those not listed have none. */
const SUBLEAVES: { readonly [leaf: number]: number } = { 4: 6, 7: 3, 0xb: 2, 0xd: 63 };

/** A leaf Xen has a place for (x86_cpuid_copy_from_buffer). */
function isInRange({ leaf: number, subleaf }: CpuidLeaf): boolean {
  const subleaves = SUBLEAVES[number];
  if (subleaves !== undefined) return subleaf < subleaves;
  const known =
    number <= BASIC_MAX ||
    number === 0x40000000 ||
    number === 0x40000100 ||
    (number >= 0x80000000 && number <= 0x80000021);
  return known && subleaf === NO_SUBLEAF;
}

/**
 * Puts leaves and registers in place of those a domain's policy has
 * (update_domain_cpu_policy). Nothing changes where one has no place: E2BIG for
 * too many, ERANGE and where.
 */
export function mergePolicy(
  cells: Cells,
  domid: number,
  given: CpuPolicy,
): { refused: PolicyError; failure: Failure } | null {
  const none = NO_SUBLEAF;
  const refuse = (
    error: Partial<PolicyError>,
    failure: Failure,
  ): { refused: PolicyError; failure: Failure } => ({
    refused: { leaf: none, subleaf: none, msr: none, ...error },
    failure,
  });
  if (given.leaves.length > MAX_LEAVES || given.msrs.length > MAX_MSRS) return refuse({}, fail("E2BIG"));
  const wrong = given.leaves.find((one) => !isInRange(one));
  if (wrong !== undefined) return refuse({ leaf: wrong.leaf, subleaf: wrong.subleaf }, fail("ERANGE"));
  const old = domainPolicy(cells, domid);
  const badMsr = given.msrs.find((one) => !old.msrs.some(({ index }) => index === one.index));
  if (badMsr !== undefined) return refuse({ msr: badMsr.index }, fail("ERANGE"));
  const leaves = new Map(
    [...old.leaves, ...given.leaves].map((one) => [one.leaf * 2 ** 32 + one.subleaf, one]),
  );
  const msrs = new Map([...old.msrs, ...given.msrs].map((one) => [one.index, one]));
  const merged: CpuPolicy = {
    leaves: [...leaves.entries()].toSorted(([a], [b]) => a - b).map(([, one]) => one),
    msrs: [...msrs.values()],
  };
  if (cells.get(cpuPolicyCell, domid) === undefined) cells.add(cpuPolicyCell, domid, merged);
  else Object.assign(cells.edit(cpuPolicyCell, domid), merged);
  return null;
}

/** Forgets a domain's policy. */
export function dropCpuPolicy(cells: Cells, domid: number): void {
  if (cells.get(cpuPolicyCell, domid) !== undefined) cells.drop(cpuPolicyCell, domid);
}
