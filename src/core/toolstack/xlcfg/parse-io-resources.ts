// SPDX-License-Identifier: Apache-2.0
//
// ioports=, irqs=, iomem=: host resources a guest may use directly.

import { die, runSections, type Parse, type Section } from "./parse-context.ts";
import { getList, listItem } from "./reader.ts";
import { strtoul, uint32 } from "./strtol.ts";

const uint32Max = 2n ** 32n - 1n;

/** I/O ports, interrupts and memory ranges. */
export const parseIoResources: Section = (parse) => runSections(parse, [parseIoports, parseIrqs, parseIomem]);

/** Every item of a list as text; `missing` words the error for an item that is a list. */
function eachItem(
  parse: Parse,
  key: string,
  missing: (index: number) => string,
  read: (text: string) => number | undefined,
): number | undefined {
  const list = getList(parse, key);
  for (const index of list?.values.keys() ?? []) {
    const text = list === null ? null : listItem(list, index);
    if (text === null) return die(parse, missing(index));
    const code = read(text);
    if (code !== undefined) return code;
  }
  return undefined;
}

function parseIoports(parse: Parse): number | undefined {
  const invalid = (text: string): string => `xl: Invalid argument parsing ioport: ${text}\n`;
  return eachItem(
    parse,
    "ioports",
    (index) => `xl: Unable to get element #${index} in ioport list\n`,
    (text) => {
      const first = strtoul(text, 16);
      if (first.end === 0) return die(parse, invalid(text));
      if (first.value >= uint32Max) return die(parse, `xl: ioport ${first.value.toString(16)} too big\n`);
      let last = first.value;
      const rest = text.slice(first.end);
      if (rest.startsWith("-")) {
        const parsed = strtoul(rest.slice(1), 16);
        if (parsed.end === 0 || parsed.end < rest.length - 1) return die(parse, invalid(text));
        if (parsed.value >= uint32Max) return die(parse, `xl: ioport ${parsed.value.toString(16)} too big\n`);
        last = parsed.value;
      } else if (rest !== "") parse.stderr += invalid(text); // xl says so and goes on
      parse.domain.b_info.ioports.push({
        first: Number(first.value),
        number: uint32(last - first.value + 1n),
      });
      return undefined;
    },
  );
}

function parseIrqs(parse: Parse): number | undefined {
  return eachItem(
    parse,
    "irqs",
    (index) => `xl: Unable to get element ${index} in irq list\n`,
    (text) => {
      const { value, end } = strtoul(text, 10);
      if (end === 0 || end < text.length) return die(parse, `xl: Invalid argument parsing irq: ${text}\n`);
      if (value >= uint32Max) return die(parse, `xl: irq ${value.toString(16)} too big\n`);
      parse.domain.b_info.irqs.push(Number(value));
      return undefined;
    },
  );
}

const iomemPattern =
  /^\s*(?:0[xX])?([0-9a-fA-F]+),\s*(?:0[xX])?([0-9a-fA-F]+)(?:@\s*(?:0[xX])?([0-9a-fA-F]+))?$/;

function parseIomem(parse: Parse): number | undefined {
  return eachItem(
    parse,
    "iomem",
    (index) => `xl: Unable to get element ${index} in iomem list\n`,
    (text) => {
      const [, start, number, gfn] = iomemPattern.exec(text) ?? [];
      if (start === undefined || number === undefined) {
        return die(parse, `xl: Invalid argument parsing iomem: ${text}\n`);
      }
      parse.domain.b_info.iomem.push({
        start: Number.parseInt(start, 16),
        number: Number.parseInt(number, 16),
        gfn: gfn === undefined ? null : Number.parseInt(gfn, 16),
      });
      return undefined;
    },
  );
}
