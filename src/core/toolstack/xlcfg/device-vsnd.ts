// SPDX-License-Identifier: Apache-2.0
//
// libxl_device_vsnd (libxl_types.idl): a virtual sound card with its PCM
// devices and their streams.

import { array, enumeration, integer, string, struct, type ValueOf } from "./idl.ts";

/** Sample formats by libxl's names. */
export const vsndPcmFormats = [
  "unset",
  "s8",
  "u8",
  "s16_le",
  "s16_be",
  "u16_le",
  "u16_be",
  "s24_le",
  "s24_be",
  "u24_le",
  "u24_be",
  "s32_le",
  "s32_be",
  "u32_le",
  "u32_be",
  "f32_le",
  "f32_be",
  "f64_le",
  "f64_be",
  "iec958_subframe_le",
  "iec958_subframe_be",
  "mu_law",
  "a_law",
  "ima_adpcm",
  "mpeg",
  "gsm",
] as const;
/** Stream directions: playback and capture. "unset" is C's 0, which has no name there. */
export const vsndStreamTypes = ["unset", "p", "c"] as const;

const vsndParams = struct({
  sample_rates: array(integer(-1)),
  sample_formats: array(enumeration(vsndPcmFormats, "unset")),
  channels_min: integer(),
  channels_max: integer(),
  buffer_size: integer(),
});
export type VsndParams = ValueOf<typeof vsndParams>;

export const vsndStream = struct({
  unique_id: string,
  type: enumeration(vsndStreamTypes, "unset"),
  params: vsndParams,
});

export const vsndPcm = struct({ name: string, params: vsndParams, streams: array(vsndStream) });

/** libxl_device_vsnd. */
export const deviceVsnd = struct({
  backend_domid: integer(),
  backend_domname: string,
  devid: integer(-1),
  short_name: string,
  long_name: string,
  params: vsndParams,
  pcms: array(vsndPcm),
});
export type DeviceVsnd = ValueOf<typeof deviceVsnd>;
