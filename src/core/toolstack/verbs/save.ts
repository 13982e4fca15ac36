// SPDX-License-Identifier: Apache-2.0
//
// xl save (tools/xl/xl_saverestore.c): the configuration, then the suspended
// domain, into a file of dom0; then the domain is destroyed, or goes on.

import { fail, isFailure, present } from "../../engine/errno.ts";
import { routine } from "../../engine/routine.ts";
import { bytesText, readFile, writeFile } from "../../daemons/files.ts";
import { stderr } from "../../daemons/process.ts";
import { domainDestroy } from "../domain-destroy.ts";
import { domainResume, domainSuspend } from "../domain-suspend.ts";
import { openForWriting } from "../host-files.ts";
import { findNamed } from "../name.ts";
import { domainPause } from "../pause.ts";
import { retrieveDomainConfig, takeRetrieved } from "../retrieve-config.ts";
import { encodeSaveFile, saveHeaderOf } from "../save-file.ts";
import type { SavedImage } from "../save-image.ts";
import { verb } from "../verb.ts";
import * as say from "../xl/messages.ts";
import { parseText } from "../xl-config.ts";
import { domainConfig } from "../xlcfg/domain-config.ts";
import { printJson } from "../xlcfg/json.ts";
import { sameDomain } from "../same.ts";

/** The configuration that goes into a save file, as JSON text: the domain's, or another one that is given. */
export const configToSave = routine(
  "save_domain_core_begin",
  (a: { process: string; domid: number; configFile: string | null; preserveDomid: boolean }) => ({
    ...a,
    config: "",
  }),
  ({ when, step, attempt, call, failWith }) => [
    when(
      "another configuration",
      (l) => l.configFile !== null,
      [
        step("libxl_read_file_contents", (host, l) => {
          const file = l.configFile as string;
          const bytes = readFile(host, file);
          if (isFailure(bytes)) {
            stderr(host, l.process, say.cannotReadOverride);
            return bytes;
          }
          const config = parseText(host, l.process, file, bytesText(bytes));
          if (!("c_info" in config)) return fail("EINVAL");
          l.config = printJson(domainConfig.toJson(config));
          return;
        }),
      ],
      [
        attempt([
          call("libxl_retrieve_domain_configuration", retrieveDomainConfig, ({ process, domid }) => ({
            process,
            domid,
          })),
        ]).onError(() => {}, [
          step("none kept", (host, l) => stderr(host, l.process, say.noStoredConfig)),
          failWith("no configuration", "ENOENT"),
        ]),
        step("to JSON", (host, l) => {
          const config = takeRetrieved(host, l.process);
          config.c_info.domid = l.preserveDomid ? l.domid : 0;
          l.config = printJson(domainConfig.toJson(config));
        }),
      ],
    ),
  ],
  (l) => l.config,
);

export const saveVerb = verb(
  "save",
  ({ process, command, global }) => ({
    process,
    command,
    detailed: global.verbose > 0,
    status: 0,
    domid: -1,
    config: "",
    image: null as SavedImage | null,
  }),
  ({ call, step, attempt, when, failWith }) => [
    findNamed(call),
    call(
      "save_domain_core_begin",
      configToSave,
      ({ process, domid, command: { configFile, preserveDomid } }) => ({
        process,
        domid,
        configFile,
        preserveDomid,
      }),
      (l, config) => void (l.config = config),
    ),
    step("open and write header", (host, l) => {
      const { file } = l.command;
      const opened = openForWriting(host, file);
      if (isFailure(opened)) {
        stderr(host, l.process, say.cannotOpenForSaving(file));
        return opened;
      }
      const { bytes, mandatoryFlags, optionalFlags, optionalLength } = saveHeaderOf(l.config);
      writeFile(host, file, bytes);
      stderr(host, l.process, say.savingTo(file, mandatoryFlags, optionalFlags, optionalLength));
      return;
    }),
    attempt([
      call(
        "libxl_domain_suspend",
        domainSuspend,
        ({ process, domid, detailed }) => ({ process, domid, detailed, progress: true }),
        (l, image) => {
          l.image = image;
        },
      ),
    ]).onError(() => {}, [
      step("say so", (host, l) => stderr(host, l.process, say.saveFailed)),
      attempt([call("let it go on", domainResume, sameDomain)]).onError(() => {}, []),
      failWith("not saved", "EIO"),
    ]),
    step("write", (host, l) => writeFile(host, l.command.file, encodeSaveFile(l.config, present(l.image)))),
    attempt([
      when("stays, paused", (l) => l.command.leavePaused, [
        call("libxl_domain_pause", domainPause, sameDomain),
      ]),
      when(
        "stays",
        (l) => l.command.leavePaused || l.command.checkpoint,
        [call("libxl_domain_resume", domainResume, sameDomain)],
        [call("libxl_domain_destroy", domainDestroy, sameDomain)],
      ),
    ]).onError(() => {}, []),
  ],
);
