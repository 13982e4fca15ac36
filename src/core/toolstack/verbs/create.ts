// SPDX-License-Identifier: Apache-2.0
//
// create and restore (tools/xl/xl_vmcontrol.c, xl_saverestore.c).

import { verb } from "../verb.ts";
import { createDomain } from "../xl-create.ts";
import type { CreateOptions } from "../xl-create.ts";

export const createVerb = verb(
  "create",
  ({ process, command, global }) => ({
    process,
    options: {
      configFile: command.configFile,
      extraConfig: command.extraConfig,
      restoreFile: null,
      incoming: false,
      quiet: command.quiet,
      debug: command.debug,
      dryRun: global.dryRun,
      paused: command.paused,
      console: command.consoleAutoconnect,
      daemonize: command.daemonize,
      monitor: command.monitor,
      ignoreGlobalAffinityMasks: command.ignoreGlobalAffinityMasks,
    } as CreateOptions,
    status: 0,
  }),
  ({ call }) => [
    call(
      "create_domain",
      createDomain,
      ({ process, options }) => ({ process, options }),
      (l, { rc, exit }) => {
        // xl's main returns the negative code as it is, and exits with its opposite.
        l.status = exit ?? -rc;
      },
    ),
  ],
);

export const restoreVerb = verb(
  "restore",
  ({ process, command, global }) => ({
    process,
    options: {
      configFile: command.configFile,
      extraConfig: "",
      restoreFile: command.file,
      incoming: false,
      quiet: false,
      debug: command.debug,
      dryRun: global.dryRun,
      paused: command.paused,
      console: command.consoleAutoconnect,
      daemonize: command.daemonize,
      monitor: command.monitor,
      ignoreGlobalAffinityMasks: false,
    } as CreateOptions,
    status: 0,
  }),
  ({ call }) => [
    call(
      "create_domain",
      createDomain,
      ({ process, options }) => ({ process, options }),
      (l, { rc, exit }) => {
        l.status = exit ?? (rc < 0 ? 1 : 0);
      },
    ),
  ],
);
