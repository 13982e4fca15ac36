// SPDX-License-Identifier: Apache-2.0
//
// config-update (tools/xl/xl_misc.c): another configuration for when the domain is
// made again.

import { fail, isFailure, present } from "../../engine/errno.ts";
import { bytesText } from "../../daemons/files.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { findNamed } from "../name.ts";
import { userdataStore } from "../userdata.ts";
import { verb } from "../verb.ts";
import { parseText, readConfigFile } from "../xl-config.ts";
import { formatDomainConfig } from "../xl/format/list.ts";
import * as say from "../xl/messages.ts";

/** Exit status of a main that returned ERROR_FAIL. */
const FAIL_STATUS = 253;

/** `xl config-update`. */
export const configUpdateVerb = verb(
  "config-update",
  ({ process, command, global }) => ({
    process,
    command,
    dryRun: global.dryRun,
    status: 0,
    domid: -1,
    text: null as string | null,
  }),
  ({ call, step, when }) => [
    findNamed(call),
    step("libxl_read_file_contents", (host, l) => {
      const { process, command } = l;
      if (command.configFile === null) {
        stderr(host, process, say.noConfigFileAtAll);
        return fail("EINVAL");
      }
      const bytes = readConfigFile(host, process, command.configFile);
      if (isFailure(bytes)) {
        l.status = FAIL_STATUS;
        return;
      }
      l.text = bytesText(bytes) + (command.extraConfig === "" ? "" : `\n${command.extraConfig}\n`);
      return;
    }),
    when("was read", (l) => l.text !== null, [
      step("parse_config_data", (host, l) => {
        const { process, command, text, dryRun } = l;
        const config = parseText(host, process, command.configFile as string, present(text));
        if ("exit" in config) {
          l.status = config.exit;
          l.text = null;
        } else if ("rc" in config) return fail("EINVAL");
        else if (command.debug || dryRun) stdout(host, process, formatDomainConfig(config));
        return;
      }),
    ]),
    when("keep it", (l) => l.text !== null && !l.dryRun, [
      step("libxl_userdata_store", (host, { process, domid, text }) => {
        stderr(host, process, say.settingConfig(domid));
        const stored = userdataStore(host, process, domid, "xl", present(text));
        if (isFailure(stored)) stderr(host, process, say.cannotUpdateConfig);
        return stored;
      }),
    ]),
  ],
);
