// SPDX-License-Identifier: Apache-2.0
//
// What the daemon tells its operator, on standard error: one line each, with
// the level in front; where systemd's journal reads, as it wants to have it.

/** From what is told always to what is told only when asked for. */
export const LOG_LEVELS = ["error", "warn", "info", "debug", "trace"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Priorities of sd-daemon(3). */
const PRIORITY: Readonly<Record<LogLevel, string>> = {
  error: "<3>",
  warn: "<4>",
  info: "<6>",
  debug: "<7>",
  trace: "<7>",
};

/** Tells lines up to a level. */
export class Log {
  readonly #most: number;
  readonly #forJournal = process.env["JOURNAL_STREAM"] !== undefined;

  constructor(level: LogLevel) {
    this.#most = LOG_LEVELS.indexOf(level);
  }

  /** Whether lines of a level are told. */
  tells(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.#most;
  }

  tell(level: LogLevel, text: string): void {
    if (!this.tells(level)) return;
    const front = this.#forJournal ? PRIORITY[level] : `xenstored: ${level}: `;
    process.stderr.write(`${front}${text.replaceAll("\n", " ")}\n`);
  }
}
