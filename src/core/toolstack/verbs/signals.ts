// SPDX-License-Identifier: Apache-2.0
//
// trigger, button-press, sysrq, debug-keys (tools/xl/xl_misc.c). What libxl
// answers to the first three does not change the exit status.

import { fail, isFailure } from "../../engine/errno.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { debugKeys } from "../../hypervisor/sysctl.ts";
import { dom0 } from "../libxl-ctx.ts";
import { reported } from "../log.ts";
import { findNamed } from "../name.ts";
import { sameDomain } from "../same.ts";
import { s3Resume, sendSysrq, sendTrigger } from "../trigger.ts";
import type { Trigger } from "../trigger.ts";
import { verb } from "../verb.ts";
import { parseTrigger, parseTriggerVcpu } from "../xl/amounts.ts";
import { help } from "../xl/help.ts";
import * as say from "../xl/messages.ts";

export const triggerVerb = verb(
  "trigger",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    domid: -1,
    trigger: "unknown" as Trigger,
    vcpu: 0,
  }),
  ({ call, step, when, attempt }) => [
    findNamed(call),
    step("libxl_trigger_from_string", (host, l) => {
      const { trigger: name, vcpu: text } = l.command;
      const trigger = parseTrigger(name);
      if (trigger === undefined) {
        stderr(host, l.process, say.invalidTrigger(name));
        return fail("EINVAL");
      }
      const vcpu = text === null ? 0 : parseTriggerVcpu(text);
      if (vcpu === null) stderr(host, l.process, say.invalidTriggerVcpu);
      Object.assign(l, { trigger, vcpu: vcpu ?? 0 });
      return;
    }),
    when(
      "s3resume",
      (l) => l.trigger === "s3resume",
      [attempt([call("domain_s3_resume", s3Resume, sameDomain)]).onError(() => {}, [])],
      [
        step("libxl_send_trigger", (host, { process, domid, trigger, vcpu }) => {
          if (trigger !== "s3resume") sendTrigger(host, process, domid, trigger, vcpu);
        }),
      ],
    ),
  ],
);

export const buttonPressVerb = verb(
  "button-press",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call, step }) => [
    findNamed(call),
    step("libxl_send_trigger", (host, l) => {
      const { button } = l.command;
      if (button === "power" || button === "sleep")
        return void sendTrigger(host, l.process, l.domid, button, 0);
      stderr(host, l.process, say.invalidButton(button));
      return fail("EINVAL");
    }),
  ],
);

export const sysrqVerb = verb(
  "sysrq",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ call, step, attempt }) => [
    findNamed(call),
    step("one character", (host, l) => {
      if (l.command.key.length <= 1) return undefined;
      stderr(host, l.process, say.invalidSysrq);
      stdout(host, l.process, help("sysrq"));
      return fail("EINVAL");
    }),
    attempt([
      call("libxl_send_sysrq", sendSysrq, ({ process, domid, command }) => ({
        process,
        domid,
        key: command.key,
      })),
    ]).onError(() => {}, []),
  ],
);

export const debugKeysVerb = verb(
  "debug-keys",
  ({ process, command }) => ({ process, command, status: 0 }),
  ({ step }) => [
    step("libxl_send_debug_keys", (host, l) => {
      const { keys } = l.command;
      const sent = debugKeys(host, dom0(l.process), { keys });
      if (!isFailure(sent)) return undefined;
      reported(host, l.process, "libxl.c:689:libxl_send_debug_keys", "sending debug keys", sent);
      stderr(host, l.process, say.cannotSendDebugKeys(keys));
      return sent;
    }),
  ],
);
