// SPDX-License-Identifier: Apache-2.0
//
// xl create and xl restore: create a domain from a configuration, let it run,
// and stay behind to look after it (tools/xl/xl_vmcontrol.c, create_domain).

import { hasExited, spawnProcess, stderr, stdout } from "../daemons/process.ts";
import { routine } from "../engine/routine.ts";
import type { Errno } from "../engine/errno.ts";
import { createState, putCreateState } from "./create-state.ts";
import { domainCreate } from "./domain-create.ts";
import type { Source } from "./domain-restore.ts";
import { domainDestroy } from "./domain-destroy.ts";
import { hasContext } from "./libxl-ctx.ts";
import { lookAfter, monitorProcess } from "./monitor.ts";
import { domainUnpause } from "./pause.ts";
import { rcOf } from "./rc.ts";
import { formatDomainConfig } from "./xl/format/list.ts";
import { applyMasks, readConfig, xlConf } from "./xl-config.ts";
import type { ConfigSource } from "./xl-config.ts";
import { sameDomain } from "./same.ts";

/** How a domain is created and what becomes of xl. */
export type CreateOptions = ConfigSource & {
  debug: boolean;
  dryRun: boolean;
  paused: boolean;
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

/**
 * Creates or restores a domain. The result is create_domain's: 0, or a negative
 * code of libxl's; with `exit` a status that xl exits with at once.
 */
export const createDomain = routine(
  "xl create_domain",
  (a: { process: string; options: CreateOptions }) => ({
    ...a,
    rc: 0,
    exit: null as number | null,
    done: false,
    domid: -1,
    errno: null as Errno | null,
    monitor: "",
  }),
  (words) => {
    const { step, when, call, attempt, waitFor } = words;
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
        putCreateState(host, l.process, config);
      }),
      when("go on", (l) => !l.done, [
        call(
          "create",
          domainCreate,
          ({ process, options }) => ({ process, source: sourceOf(options) }),
          (l, made) => {
            l.domid = made.domid;
            l.errno = made.errno;
          },
        ),
        when(
          "failed",
          (l) => l.errno !== null,
          [
            when("a domain was made", (l) => l.domid > 0, [
              attempt([call("destroy", domainDestroy, sameDomain)]).onError(() => {}, []),
            ]),
            step("its code", (_host, l) => void (l.rc = rcOf(l.errno as Errno))),
          ],
          [
            when("not to stay paused", (l) => !l.options.paused, [
              attempt([call("unpause", domainUnpause, sameDomain)]).onError(() => {}, []),
            ]),
            when("look after it in a process of its own", (l) => l.options.daemonize && l.options.monitor, [
              step("do_daemonize", (host, l) => {
                l.monitor = `${l.process}.monitor`;
                const { given } = createState(host, l.process);
                putCreateState(host, l.monitor, given as never);
                const log = `/var/log/xen/xl-${given.c_info.name}.log`;
                spawnProcess(host, l.monitor, ["xl"], monitorProcess, { domid: l.domid }, { log });
              }),
              waitFor("daemon(3)", (host, l) => hasContext(host, l.monitor) || hasExited(host, l.monitor)),
            ]),
            when("look after it here", (l) => !l.options.daemonize && l.options.monitor, [
              call("look after", lookAfter, sameDomain),
            ]),
          ],
        ),
      ]),
    ];
  },
  ({ rc, exit }) => ({ rc, exit }),
);
