// SPDX-License-Identifier: Apache-2.0
//
// Keeping a domain that is to be made again: it gets another name, and another
// virtual machine's directory, so that the new one can have its own (tools/libs/light/libxl_domain.c,
// libxl_domain_preserve; tools/xl/xl_vmcontrol.c, preserve_domain).

import { routine } from "../engine/routine.ts";
import { stderr } from "../daemons/process.ts";
import { createState } from "./create-state.ts";
import { domainRename } from "./rename.ts";
import { transaction } from "./transaction.ts";
import { randomUuid } from "./urandom.ts";
import { preserveSuffix } from "./wall-clock.ts";
import * as say from "./xl/messages.ts";
import { mkdirRequest, permsRequest, rmRequest, writeRequest, xsGetDomainPath, xsScript } from "./xs.ts";
import type { XsRequest } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** The directory of the virtual machine the domain becomes, but for its UUID. */
function newVm(domid: number, home: string, vm: string): XsRequest[] {
  return [
    rmRequest(vm),
    mkdirRequest(vm),
    permsRequest(vm, ["n0", `r${domid}`]),
    writeRequest(`${home}/vm`, vm),
  ];
}

/** Renames the domain `NAME-YYYYMMDDThhmmZ`; Xen keeps its UUID. */
export const domainPreserve = routine(
  "libxl_domain_preserve",
  (a: { process: string; domid: number }) => ({ ...a, name: "", preserved: "", uuid: "", home: "", t: 0 }),
  (words) => {
    const { step, call } = words;
    return [
      step("new name, new UUID", (host, l) => {
        l.name = createState(host, l.process).given.c_info.name ?? "";
        const suffix = preserveSuffix(host);
        l.preserved = `${l.name}${suffix}`;
        l.uuid = randomUuid(host);
        stderr(host, l.process, say.monitorPreserving(l.domid, l.name, suffix));
      }),
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
        l.home = home;
      }),
      transaction(words, [
        call("virtual machine", xsScript, ({ process, t, domid, home, uuid }) => ({
          process,
          t,
          requests: newVm(domid, home, `/vm/${uuid}`),
        })),
        call("rename", domainRename, ({ process, t, domid, name, preserved }) => ({
          process,
          t,
          domid,
          oldName: name,
          newName: preserved,
        })),
        call("uuid", xsScript, ({ process, t, uuid }) => ({
          process,
          t,
          requests: [writeRequest(`/vm/${uuid}/uuid`, uuid)],
        })),
      ]),
    ];
  },
);
