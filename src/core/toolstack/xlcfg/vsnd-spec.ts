// SPDX-License-Identifier: Apache-2.0
//
// Virtual sound card specifications (tools/xl/xl_parse.c, parse_vsnd_item):
// items that begin with CARD, PCM or STREAM, each belonging to the one before.

import {
  vsndPcm,
  vsndPcmFormats,
  vsndStream,
  vsndStreamTypes,
  type DeviceVsnd,
  type VsndParams,
} from "./device-vsnd.ts";
import type { SpecReport } from "./nic-spec.ts";
import { enumFromString, matchOption, specParts, strtok, strtoul, uint32 } from "./strtol.ts";

/** Reads one item of a card; false when xl must give up. */
export function parseVsndItem(report: SpecReport, vsnd: DeviceVsnd, item: string): boolean {
  const [key, ...params] = specParts(item);
  if (key === undefined) return true;
  const kind = key.toLowerCase();
  if (kind === "pcm" || (kind === "stream" && vsnd.pcms.length === 0)) vsnd.pcms.push(vsndPcm.init());
  if (kind === "stream") vsnd.pcms.at(-1)?.streams.push(vsndStream.init());
  if (kind !== "card" && kind !== "pcm" && kind !== "stream") {
    report.stderr += `Invalid key: ${key}\n`;
    return false;
  }
  return params.every((param) => parseParam(report, vsnd, kind, param));
}

function parseParam(
  report: SpecReport,
  vsnd: DeviceVsnd,
  kind: "card" | "pcm" | "stream",
  param: string,
): boolean {
  const pcm = vsnd.pcms.at(-1);
  const stream = pcm?.streams.at(-1);
  const holder = kind === "card" ? vsnd : kind === "pcm" ? pcm : stream;
  if (holder === undefined) return false;
  const common = parseCommonParam(report, holder.params, param);
  if (common !== "other") return common === "ok";
  const strings: [string, (value: string) => void][] =
    kind === "card"
      ? [
          ["backend", (value) => (vsnd.backend_domname = value)],
          ["short-name", (value) => (vsnd.short_name = value)],
          ["long-name", (value) => (vsnd.long_name = value)],
        ]
      : kind === "pcm"
        ? [["name", (value) => pcm && (pcm.name = value)]]
        : [["unique-id", (value) => stream && (stream.unique_id = value)]];
  for (const [option, store] of strings) {
    const value = matchOption(option, param);
    if (value === undefined) continue;
    store(value);
    return true;
  }
  const typeName = kind === "stream" ? matchOption("type", param) : undefined;
  if (typeName === undefined || stream === undefined) {
    report.stderr += `Invalid parameter: ${param}\n`;
    return false;
  }
  const type = enumFromString(vsndStreamTypes, typeName);
  if (type === undefined || type === "unset") {
    report.stderr += `Invalid stream type: ${typeName}\n`;
    return false;
  }
  stream.type = type;
  return true;
}

const numbers = {
  "channels-min": "channels_min",
  "channels-max": "channels_max",
  "buffer-size": "buffer_size",
} as const;

/** The parameters that cards, PCM devices and streams share. */
function parseCommonParam(report: SpecReport, params: VsndParams, param: string): "ok" | "exit" | "other" {
  const rates = matchOption("sample-rates", param);
  if (rates !== undefined) {
    params.sample_rates = strtok(rates, ";").map((rate) => uint32(strtoul(rate, 0).value));
    return "ok";
  }
  const formats = matchOption("sample-formats", param);
  if (formats !== undefined) return parseFormats(report, params, strtok(formats, ";"));
  for (const [option, field] of Object.entries(numbers)) {
    const value = matchOption(option, param);
    if (value === undefined) continue;
    params[field] = uint32(strtoul(value, 0).value);
    return "ok";
  }
  return "other";
}

function parseFormats(report: SpecReport, params: VsndParams, names: readonly string[]): "ok" | "exit" {
  params.sample_formats = [];
  for (const name of names) {
    const format = enumFromString(vsndPcmFormats, name);
    if (format === undefined || format === "unset") {
      report.stderr += `Invalid pcm format: ${name}\n`;
      return "exit";
    }
    params.sample_formats.push(format);
  }
  return "ok";
}
