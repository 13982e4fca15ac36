// SPDX-License-Identifier: Apache-2.0
//
// What somebody sees who watches a host: one screen, as lines. A pure function
// of what there is to show, so that it can be tested without a terminal.

import { domainTable } from "./domains.ts";
import type { DomainRow } from "./domains.ts";

/** Everything on the screen. */
export interface ViewModel {
  version: string;
  xen: string;
  /** Microseconds since the host came up. */
  now: number;
  domains: readonly DomainRow[];
  freeMiB: number;
  totalMiB: number;
  /** What happened, oldest first: microseconds since the host came up, and words. */
  events: readonly { at: number; text: string }[];
  /** xenstored's socket. */
  socket: string;
  trace: string | null;
  /** Commands to try next; empty for somebody who knows. */
  hints: readonly string[];
  /** Something that must be seen: a trace that stopped, a question. Null for nothing. */
  alert: string | null;
}

const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const ALERT = "\u001b[1;33m";
const PLAIN = "\u001b[0m";

/** A line before it is cut to the terminal's width: its style counts no columns. */
interface Line {
  style: string;
  text: string;
}

const blank: Line = { style: "", text: "" };

/** Seconds and tenths since the host came up, right-aligned: `   12.3s`. */
function moment(at: number): string {
  return `${(at / 1e6).toFixed(1)}s`.padStart(9);
}

/** How long the host is up: `42s`, `3m 05s`, `2h 07m`. */
export function duration(microseconds: number): string {
  const seconds = Math.floor(microseconds / 1e6);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h ${two(Math.floor(seconds / 60) % 60)}m`;
}

function expandTabs(text: string): string {
  let out = "";
  for (const char of text) out += char === "\t" ? " ".repeat(8 - (out.length % 8)) : char;
  return out;
}

/** Cut to a number of columns; what was cut shows as `…`. Control characters show as `?`. */
function cut(text: string, columns: number): string {
  // eslint-disable-next-line no-control-regex -- a guest's name must not steer the terminal
  const safe = expandTabs(text).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?");
  return safe.length <= columns ? safe : `${safe.slice(0, Math.max(0, columns - 1))}…`;
}

function head({ version, xen, now, domains, freeMiB, totalMiB }: ViewModel): Line {
  const guests = domains.filter(({ domid }) => domid !== 0).length;
  const count = guests === 1 ? "1 guest" : `${guests} guests`;
  const facts = [`up ${duration(now)}`, count, `${freeMiB} of ${totalMiB} MiB free`];
  return { style: BOLD, text: [`Xenolith ${version}`, `Xen ${xen}`, ...facts].join(" · ") };
}

function sockets({ socket, trace }: ViewModel): Line[] {
  const lines = [{ style: "", text: `XENSTORED_PATH=${socket}` }];
  if (trace !== null) lines.push({ style: "", text: `trace: ${trace}` });
  return lines;
}

/** Rows of the table that fit, the newest domains last; a line says how many were left out. */
function table(domains: readonly DomainRow[], room: number, columns: number): Line[] {
  const [header = "", ...rows] = domainTable(domains, columns);
  const shown = rows.length <= room ? rows : rows.slice(0, Math.max(0, room - 1));
  const more = rows.length - shown.length;
  return [
    { style: DIM, text: header },
    ...shown.map((text) => ({ style: "", text })),
    ...(more > 0 ? [{ style: DIM, text: `… and ${more} more: xl list shows all` }] : []),
  ];
}

/**
 * The screen's lines: exactly `rows` of them, each at most `columns` wide.
 * Domains come before events where there is not room for both.
 *
 * @param styles with the terminal's bold and dim
 */
export function viewLines(model: ViewModel, columns: number, rows: number, styles: boolean): string[] {
  const top: Line[] = [head(model), ...sockets(model), blank];
  const hints = model.hints.map((text): Line => ({ style: "", text: `  ${text}` }));
  const tips: Line[] =
    hints.length === 0 ? [] : [blank, { style: DIM, text: "Try in another terminal:" }, ...hints];
  const foot: Line[] = [
    ...(model.alert === null ? [] : [{ style: ALERT, text: model.alert }]),
    { style: DIM, text: "q stop the host   l redraw" },
  ];
  const bottom = top.length + tips.length + foot.length + 8 <= rows ? [...tips, blank, ...foot] : foot;
  const room = rows - top.length - bottom.length;
  const domains = table(model.domains, Math.max(1, Math.min(model.domains.length, room - 4)), columns);
  const left = room - domains.length - 2;
  const events = left <= 0 ? [] : model.events.slice(-left);
  const middle: Line[] =
    left <= 0
      ? domains
      : [
          ...domains,
          blank,
          { style: DIM, text: events.length === 0 ? "Nothing has happened yet" : "Last events" },
          ...events.map(({ at, text }) => ({ style: "", text: `${moment(at)}  ${text}` })),
        ];
  const padding = Array.from({ length: Math.max(0, room - middle.length) }, () => blank);
  const all = [...top, ...middle.slice(0, Math.max(0, room)), ...padding, ...bottom].slice(0, rows);
  return all.map(({ style, text }) => {
    const shown = cut(text, columns);
    return styles && style !== "" && shown !== "" ? `${style}${shown}${PLAIN}` : shown;
  });
}
