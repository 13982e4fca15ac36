// SPDX-License-Identifier: Apache-2.0
//
// xl create and xl restore: create a domain from a configuration, let it run,
// and stay behind to look after it (tools/xl/xl_vmcontrol.c, create_domain).

import { hasExited, processCell, spawnProcess, stderr, stdout } from "../daemons/process.ts";
import { must } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { clonePlain } from "../engine/plain.ts";
import { routine } from "../engine/routine.ts";
import { createState, putCreateState } from "./create-state.ts";
import type { Source } from "./domain-restore.ts";
import { waitForConsole } from "./console-child.ts";
import { hasContext } from "./libxl-ctx.ts";
import { makeDomain } from "./make-domain.ts";
import type { MakeHow } from "./make-domain.ts";
import { lookAfter, monitorProcess } from "./monitor.ts";
import { formatDomainConfig } from "./xl/format/list.ts";
import { applyMasks, readConfig, xlConf } from "./xl-config.ts";
import type { ConfigSource } from "./xl-config.ts";
import type { DomainConfig } from "./xlcfg/domain-config.ts";
import { sameDomain, sameProcess } from "./same.ts";

/** How a domain is created and what becomes of xl. */
export type CreateOptions = ConfigSource & {
  debug: boolean;
  dryRun: boolean;
  paused: boolean;
  /** Attach to its console. */
  console: boolean;
  /** Leave a process of its own behind that looks after the domain. */
  daemonize: boolean;
  /** Look after the domain at all. */
  monitor: boolean;
  ignoreGlobalAffinityMasks: boolean;
};

const sourceOf = ({ restoreFile }: CreateOptions): Source | null =>
  restoreFile === null ? null : { file: restoreFile };

/** INVALID_DOMID: Xen chooses; RANDOM_DOMID: libxl draws one. */
const DOMID_POLICIES = { xen: 0xffffffff, random: 0xfffffffe } as const;

const makeArgs = ({
  process,
  options,
}: {
  process: string;
  options: CreateOptions;
}): { process: string } & MakeHow => ({
  process,
  source: sourceOf(options),
  reset: null,
  paused: options.paused,
  console: options.console,
});

/** Leaves a process behind that looks after a domain, with the configuration it was made from. */
function daemonize(host: Host, process: string, domid: number): string {
  const monitor = `${process}.monitor`;
  const given = clonePlain(createState(host, process).given) as DomainConfig;
  putCreateState(host, monitor, given);
  const log = `/var/log/xen/xl-${given.c_info.name}.log`;
  const { argv } = must(host, processCell, process);
  return spawnProcess(host, monitor, argv, monitorProcess, { domid }, { log });
}

/**
 * Creates or restores a domain. The result is create_domain's: 0, or a negative
 * code of libxl's; with `exit` a status that xl exits with at once. `name` is what
 * the configuration calls the domain.
 */
export const createDomain = routine(
  "xl create_domain",
  (a: { process: string; options: CreateOptions }) => ({
    ...a,
    rc: 0,
    exit: null as number | null,
    done: false,
    domid: -1,
    name: "",
    monitor: "",
  }),
  (words) => {
    const { step, when, call, waitFor } = words;
    return [
      step("configuration", (host, l) => {
        const config = readConfig(host, l.process, l.options);
        l.done = true;
        if ("rc" in config) return void (l.rc = config.rc);
        if ("exit" in config) return void (l.exit = config.exit);
        if (!l.options.ignoreGlobalAffinityMasks && !applyMasks(host, l.process, config))
          return void (l.exit = 1);
        if (l.options.debug || l.options.dryRun) {
          (l.options.dryRun ? stdout : stderr)(host, l.process, formatDomainConfig(config));
        }
        l.done = l.options.dryRun;
        const byNumber = config.c_info.domid > 0 && config.c_info.domid < 0x7ff0;
        if (!byNumber) config.c_info.domid = DOMID_POLICIES[xlConf(host).domidPolicy];
        l.name = config.c_info.name ?? "";
        if (l.options.incoming) config.c_info.name = `${l.name}--incoming`;
        putCreateState(host, l.process, config);
      }),
      when("go on", (l) => !l.done, [
        call("make it", makeDomain, makeArgs, (l, { domid, rc }) => {
          l.domid = domid;
          l.rc = rc;
        }),
        when("made", (l) => l.rc === 0, [
          when("look after it in a process of its own", (l) => l.options.daemonize && l.options.monitor, [
            step("do_daemonize", (host, l) => void (l.monitor = daemonize(host, l.process, l.domid))),
            waitFor("daemon(3)", (host, l) => hasContext(host, l.monitor) || hasExited(host, l.monitor)),
          ]),
          when("look after it here", (l) => !l.options.daemonize && l.options.monitor, [
            call("look after", lookAfter, sameDomain),
          ]),
        ]),
      ]),
      call("console_child_report", waitForConsole, sameProcess),
    ];
  },
  ({ rc, exit, domid, name }) => ({ rc, exit, domid, name }),
);
