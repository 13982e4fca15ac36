// SPDX-License-Identifier: Apache-2.0
//
// libxl's and libxc's log lines as xl shows them (tools/libs/light/libxl_internal.c,
// libxl__logv; tools/libs/toollog/xtl_logger_stdio.c).

/** Levels by the names xl prints, least important first. */
export const logLevels = ["debug", "verbose", "detail", "progress", "info", "notice", "warning", "error", "critical"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A line of libxl's log. */
export interface LibxlLog {
  level: LogLevel;
  /** Where libxl says it: "libxl_domain.c:1183". */
  site: string;
  /** The function there. */
  where: string;
  /** null: the message is about no domain. */
  domid: number | null;
  message: string;
}

/** `libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain 99:Non-existant domain`. */
export function formatLibxlLog({ level, site, where, domid, message }: LibxlLog): string {
  const about = domid === null ? "" : `Domain ${domid}:`;
  return `libxl: ${level}: ${site}:${where}: ${about}${message}\n`;
}

/** libxc's: `xc: error: panic: xg_dom_core.c:205: failed to open file …: Internal error`. */
export const formatXcLog = (level: LogLevel, message: string): string => `xc: ${level}: ${message}\n`;

/** Whether xl shows a level: from "progress" on, and one level less with every -v. */
export function isShown(level: LogLevel, verbose: number): boolean {
  return logLevels.indexOf(level) >= Math.max(logLevels.indexOf("progress") - verbose, 0);
}
