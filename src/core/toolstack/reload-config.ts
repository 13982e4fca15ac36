// SPDX-License-Identifier: Apache-2.0
//
// The configuration a domain is made from again: what `xl config-update` left,
// or what the domain has come to be (tools/xl/xl_vmcontrol.c, reload_domain_config).

import { stderr } from "../daemons/process.ts";
import type { Errno } from "../engine/errno.ts";
import { isFailure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { putCreateState } from "./create-state.ts";
import { rcOf } from "./rc.ts";
import { retrieveDomainConfig, takeRetrieved } from "./retrieve-config.ts";
import { userdataRetrieve, userdataUnlink } from "./userdata.ts";
import { parseText } from "./xl-config.ts";
import { sameDomain } from "./same.ts";

/** Takes what `xl config-update` left for the domain; false where there is nothing. */
function takeUpdated(host: Host, process: string, domid: number): boolean {
  const text = userdataRetrieve(host, process, domid, "xl");
  if (text === null || isFailure(text) || text === "") return false;
  stderr(host, process, '"xl" configuration found, using it\n');
  const config = parseText(host, process, "<updated>", text);
  userdataUnlink(host, process, domid, "xl");
  if ("rc" in config || "exit" in config) return false;
  putCreateState(host, process, config);
  return true;
}

/**
 * Makes the process's create state what the domain is to be made from again; what it was stays where
 * nothing is known.
 */
export const reloadConfig = routine(
  "reload_domain_config",
  (a: { process: string; domid: number }) => ({ ...a, updated: false, errno: "EIO" as Errno }),
  ({ step, when, attempt, call }) => [
    step("updated configuration", (host, l) => void (l.updated = takeUpdated(host, l.process, l.domid))),
    when("as it is now", (l) => !l.updated, [
      attempt([
        call("retrieve", retrieveDomainConfig, sameDomain),
        step("use it", (host, l) => putCreateState(host, l.process, takeRetrieved(host, l.process))),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [
          step("reuse the old one", (host, l) => {
            const text = `failed to retrieve guest configuration (rc=${rcOf(l.errno)}). reusing old configuration\n`;
            stderr(host, l.process, text);
          }),
        ],
      ),
    ]),
  ],
);
