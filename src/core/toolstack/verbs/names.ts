// SPDX-License-Identifier: Apache-2.0
//
// Names of domains: domid, domname, rename (tools/xl/xl_info.c, xl_misc.c).

import { fail } from "../../engine/errno.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { domidToName, findDomain, nameToDomid } from "../name.ts";
import { ERROR_INVAL } from "../rc.ts";
import { domainRename } from "../rename.ts";
import { verb } from "../verb.ts";
import { parseDomid } from "../xl/domain-arg.ts";
import * as say from "../xl/messages.ts";

export const domidVerb = verb(
  "domid",
  ({ process, command }) => ({ process, command, status: 0, domid: -1 }),
  ({ attempt, call, step, failWith }) => [
    attempt([
      call(
        "libxl_name_to_domid",
        nameToDomid,
        ({ process, command }) => ({ process, name: command.name }),
        (l, domid) => {
          l.domid = domid;
        },
      ),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.noDomidOfName(l.command.name))),
      failWith("no such name", ERROR_INVAL),
    ]),
    step("print", (host, l) => stdout(host, l.process, `${l.domid}\n`)),
  ],
);

export const domnameVerb = verb(
  "domname",
  ({ process, command }) => ({
    process,
    domid: parseDomid(command.domid),
    status: 0,
    name: null as string | null,
  }),
  ({ step, call }) => [
    step("a number", (host, l) => {
      if (l.domid !== null) return undefined;
      stderr(host, l.process, say.invalidDomid);
      return fail("EINVAL");
    }),
    call(
      "libxl_domid_to_name",
      domidToName,
      ({ process, domid }) => ({ process, domid: domid as number }),
      (l, name) => {
        l.name = name;
      },
    ),
    step("print", (host, l) => {
      if (l.name !== null) return stdout(host, l.process, `${l.name}\n`);
      stderr(host, l.process, say.noNameOfDomid(l.domid as number));
      return fail("ENOENT");
    }),
  ],
);

export const renameVerb = verb(
  "rename",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, oldName: null as string | null }),
  ({ call, attempt, step, failWith }) => [
    call(
      "find_domain",
      findDomain,
      ({ process, command }) => ({ process, domain: command.domain }),
      (l, { domid, name }) => {
        l.domid = domid;
        l.oldName = name;
      },
    ),
    attempt([
      call("libxl_domain_rename", domainRename, ({ process, domid, oldName, command }) => ({
        process,
        t: 0,
        domid,
        oldName,
        newName: command.newName,
      })),
    ]).onError(() => {}, [
      step("complain", (host, l) => stderr(host, l.process, say.cannotRename(l.command.domain))),
      failWith("not renamed", ERROR_INVAL),
    ]),
  ],
);
