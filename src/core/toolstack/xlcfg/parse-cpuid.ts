// SPDX-License-Identifier: Apache-2.0
//
// cpuid=: "host,flag=value,…" or a list in xend's syntax
// (tools/libs/light/libxl_cpuid.c, tools/xl/xl_parse.c).

import { cpuidFields, featureWords, type CpuidField, type CpuidRegister } from "./cpuid-features.ts";
import type { DomainBuildInfo } from "./domain-config.ts";
import type { Section } from "./parse-context.ts";
import { getList, getString, leadingStrings } from "./reader.ts";
import { strtok, strtoul, uint32 } from "./strtol.ts";

type Policy = DomainBuildInfo["cpuid"];
type Leaf = Policy["cpuid"][number];

const xendErrors = [
  "",
  "illegal leaf number",
  "illegal subleaf number",
  "missing colon",
  "invalid register name (must be e[abcd]x)",
  "policy string must be exactly 32 characters long",
];
const flagErrors = [
  "",
  'missing "=" in key=value',
  "unknown CPUID flag name",
  "illegal CPUID value (must be: [0|1|x|k|s])",
];

/** cpuid=; what cannot be read is reported and left out. */
export const parseCpuid: Section = (parse) => {
  const policy = parse.domain.b_info.cpuid;
  const list = getList(parse, "cpuid", true);
  if (list !== null) {
    for (const line of leadingStrings(list)) {
      const error = parseXendLine(policy, line);
      if (error === 0) continue;
      parse.stderr += `while parsing CPUID line: "${line}":\n  error #${error}: ${xendErrors[error]}\n`;
    }
    return undefined;
  }
  const text = getString(parse, "cpuid");
  if (text === null) return undefined;
  const [first, ...flags] = strtok(text, ",");
  if (first !== undefined && first !== "host") {
    parse.stderr += `while parsing CPUID string: "${text}":\n  error: first word must be "host"\n`;
    return undefined;
  }
  for (const flag of flags) {
    const error = parseFlag(policy, flag);
    if (error === 0) continue;
    parse.stderr += `while parsing CPUID flag: "${flag}":\n  error #${error}: ${flagErrors[error]}\n`;
  }
  return undefined;
};

function findLeaf(policy: Policy, leaf: number, subleaf: number | null): Leaf {
  const found = policy.cpuid.find((entry) => entry.leaf === leaf && entry.subleaf === subleaf);
  if (found !== undefined) return found;
  const entry: Leaf = { leaf, subleaf, eax: null, ebx: null, ecx: null, edx: null };
  policy.cpuid.push(entry);
  return entry;
}

/** One "name=value": 0, or the number of libxl's error. */
function parseFlag(policy: Policy, text: string): number {
  const equals = text.indexOf("=");
  if (equals < 0) return 1;
  const name = text.slice(0, equals);
  const value = text.slice(equals + 1);
  const field = Object.hasOwn(cpuidFields, name) ? cpuidFields[name] : undefined;
  if (field !== undefined) return addField(policy, name, field, value);
  const word = featureWords.find(({ features }) => Object.hasOwn(features, name));
  if (word === undefined) return 2;
  const bit = word.features[name] as number;
  if ("msr" in word) return addMsr(policy, word.msr, word.firstBit + bit, value);
  return addField(policy, name, [word.leaf, word.subleaf, word.register, bit, 1], value);
}

/** Writes `characters` so that the last stands for `bit`. */
function overwrite(policy: string, bit: number, characters: string): string {
  const start = policy.length - characters.length - bit;
  return policy.slice(0, start) + characters + policy.slice(start + characters.length);
}

const binary = (value: bigint, length: number): string =>
  BigInt.asUintN(length, value).toString(2).padStart(length, "0");

function addField(policy: Policy, name: string, field: CpuidField, value: string): number {
  const [leafNumber, subleaf, register, bit, length] = field;
  const leaf = findLeaf(policy, leafNumber, subleaf);
  const number = strtoul(value, 0);
  const letter = value[0] ?? "";
  if (number.end === 0 && !"xks".includes(letter || "?")) return 3;
  const characters = number.end > 0 ? binary(number.value, length) : letter.repeat(length);
  const before = leaf[register] ?? "x".repeat(32);
  if (name === "family") leaf[register] = addFamily(before, number.value, characters);
  else if (name === "model") {
    leaf[register] = overwrite(overwrite(before, 16, characters.slice(0, 4)), 4, characters.slice(4));
  } else leaf[register] = overwrite(before, bit, characters);
  return 0;
}

/** The family, with its extension from 16 on. The extension's first character stays the number's highest bit. */
function addFamily(before: string, number: bigint, characters: string): string {
  if (number < 16n) return overwrite(overwrite(before, 8, characters.slice(4)), 20, "00000000");
  const extended = characters.slice(0, 1) + binary(number - 15n, 7);
  return overwrite(overwrite(before, 8, "1111"), 20, extended);
}

function addMsr(policy: Policy, index: number, bit: number, value: string): number {
  let entry = policy.msr.find((msr) => msr.index === index);
  if (entry === undefined) {
    entry = { index, policy: "x".repeat(64) };
    policy.msr.push(entry);
  }
  if (!/^[01xks]$/.test(value)) return 3;
  entry.policy = overwrite(entry.policy ?? "", bit, value === "s" ? "k" : value);
  return 0;
}

/** One "leaf[,subleaf]:eax=…,ebx=…" with 32 characters a register: 0, or the number of libxl's error. */
function parseXendLine(policy: Policy, line: string): number {
  const leaf = strtoul(line, 0);
  if (leaf.end === 0) return 1;
  let rest = line.slice(leaf.end);
  let subleaf: number | null = null;
  if (rest.startsWith(",")) {
    const parsed = strtoul(rest.slice(1), 0);
    if (parsed.end === 0) return 2;
    subleaf = uint32(parsed.value);
    rest = rest.slice(1 + parsed.end);
  }
  if (!rest.startsWith(":")) return 3;
  const entry = findLeaf(policy, uint32(leaf.value), subleaf);
  rest = rest.slice(1);
  while (rest !== "") {
    const match = /^(e[a-d]x)[^=]*=([^,]*)/s.exec(rest);
    if (match === null) return 4;
    const [whole, register, characters] = match as unknown as [string, CpuidRegister, string];
    if (characters.length !== 32) return 5;
    entry[register] = characters;
    rest = rest.slice(whole.length);
    if (rest === "") break;
    rest = rest.slice(1).replace(/^[ \n]+/, "");
  }
  return 0;
}
