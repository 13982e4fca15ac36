// SPDX-License-Identifier: Apache-2.0
//
// xl vsnd-list (tools/xl/xl_vsnd.c).

import type { DeviceVsnd, VsndParams } from "../../xlcfg/device-vsnd.ts";

/** What xenstore says of a sound card: its state, and every stream's ring. */
export interface VsndState {
  devid: number;
  backendDomid: number;
  /** The frontend's domid. */
  handle: number;
  state: number;
  backendPath: string | null;
  frontendPath: string | null;
  /** By PCM device and stream. */
  streams: readonly (readonly { eventChannel: number; ringRef: number }[])[];
}

/** One card with its PCM devices and streams. */
export function formatVsnd(vsnd: DeviceVsnd, state: VsndState): string {
  let text =
    `\ndevid: ${state.devid}, be-domid: ${state.backendDomid}, handle: ${state.handle}, state: ${state.state}, ` +
    `be-path: ${state.backendPath ?? "(null)"}, fe-path: ${state.frontendPath ?? "(null)"}\n` +
    `short-name: "${vsnd.short_name ?? "(null)"}", long-name: "${vsnd.long_name ?? "(null)"}"` +
    formatParams(vsnd.params);
  for (const [index, pcm] of vsnd.pcms.entries()) {
    text += `\tpcm: ${index}, name: "${pcm.name ?? "(null)"}"${formatParams(pcm.params)}`;
    for (const [number, stream] of pcm.streams.entries()) {
      const ring = state.streams[index]?.[number];
      const type = stream.type === "unset" ? "(null)" : stream.type;
      text +=
        `\t\tstream: ${number}, unique-id: "${stream.unique_id ?? "(null)"}", type: ${type}` +
        `${formatParams(stream.params)}` +
        `\t\t\tevent-channel: ${ring?.eventChannel ?? 0}, ring-ref: ${ring?.ringRef ?? 0}\n`;
    }
  }
  return text;
}

/** Formats stand under the name of the rates: so xl prints them. */
function formatParams(params: VsndParams): string {
  const parts = [
    params.channels_min === 0 ? "" : `, channels-min: ${params.channels_min}`,
    params.channels_max === 0 ? "" : `, channels-max: ${params.channels_max}`,
    params.buffer_size === 0 ? "" : `, buffer-size: ${params.buffer_size}`,
    params.sample_rates.length === 0 ? "" : `, sample-rates: ${params.sample_rates.join(";")}`,
    params.sample_formats.length === 0 ? "" : `, sample-rates: ${params.sample_formats.join(";")}`,
  ];
  return `${parts.join("")}\n`;
}
