// SPDX-License-Identifier: Apache-2.0
//
// Plots of how a cost grows, as SVG: both axes logarithmic, a line a series.

/** A line: what it is, and its points. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 70;
const RIGHT = 130;
const TOP = 40;
const BOTTOM = 50;
/** Told apart also by who sees few colours. */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** Where a value lies between two powers of ten, 0 to 1. */
function scale(values: readonly number[]): { at: (value: number) => number; ticks: number[] } {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at));
  return { at: (value) => (Math.log10(value) - low) / (high - low), ticks };
}

const text = (x: number, y: number, anchor: string, words: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;

const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="#ddd"/>`;

const plain = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: 2 });

/** The plot as a document. Points at x = 0 stand at 1: there is no zero on a logarithmic axis. */
export function svg({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const across = scale(points.map(([value]) => Math.max(1, value)));
  const up = scale(points.map(([, value]) => value));
  const px = (value: number): number => LEFT + across.at(Math.max(1, value)) * (WIDTH - LEFT - RIGHT);
  const py = (value: number): number => HEIGHT - BOTTOM - up.at(value) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${WIDTH / 2}" y="22" text-anchor="middle" font-size="15">${title}</text>`,
    ...across.ticks.map((tick) => line(px(tick), TOP, px(tick), HEIGHT - BOTTOM)),
    ...up.ticks.map((tick) => line(LEFT, py(tick), WIDTH - RIGHT, py(tick))),
    ...across.ticks.map((tick) => text(px(tick), HEIGHT - BOTTOM + 18, "middle", plain(tick))),
    ...up.ticks.map((tick) => text(LEFT - 8, py(tick) + 4, "end", plain(tick))),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "middle", x),
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${y}</text>`,
    ...series.flatMap((one, at) => curve(one, colours[at % colours.length] as string, px, py)),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

function curve(
  { name, points }: Series,
  colour: string,
  px: (value: number) => number,
  py: (value: number) => number,
): string[] {
  const [endX, endY] = points.at(-1) as readonly [number, number];
  const path = points
    .map(([x, y], at) => `${at === 0 ? "M" : "L"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`)
    .join("");
  return [
    `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.map(
      ([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour}"/>`,
    ),
    `<text x="${(px(endX) + 8).toFixed(1)}" y="${(py(endY) + 4).toFixed(1)}" fill="${colour}">${name}</text>`,
  ];
}
