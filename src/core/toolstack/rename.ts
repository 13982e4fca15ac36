// SPDX-License-Identifier: Apache-2.0
//
// Giving a domain a name: unique among domains, written to its home and to its
// virtual machine's directory (tools/libs/light/libxl_domain.c, libxl__domain_rename).

import { isFailure } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { domainInfo, stubdomId } from "./dominfo.ts";
import { libxlError } from "./log.ts";
import { nameToDomid } from "./name.ts";
import { ERROR_FAIL, ERROR_INVAL } from "./rc.ts";
import { strerror } from "./strerror.ts";
import { transaction } from "./transaction.ts";
import { xsGetDomainPath, xsRead, xsWrite } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Fails with ERROR_INVAL, and says so, where another domain has a name. The empty name may be shared. */
const checkUnique = routine(
  "check name is unique",
  (a: { process: string; domid: number; name: string }) => ({
    ...a,
    holder: null as number | null,
    errno: ERROR_FAIL,
  }),
  ({ when, attempt, call, step, failWith }) => [
    when("has a name", (l) => l.name !== "", [
      attempt([
        call(
          "libxl_name_to_domid",
          nameToDomid,
          ({ process, name }) => ({ process, name }),
          (l, domid) => {
            l.holder = domid;
          },
        ),
      ]).onError(
        (l, errno) => void (l.errno = errno),
        [when("not just unknown", (l) => l.errno !== ERROR_INVAL, [failWith("pass on", (l) => l.errno)])],
      ),
      when("somebody else's", (l) => l.holder !== null && l.holder !== l.domid, [
        step("complain", (host, l) => {
          const text = `Domain with name "${l.name}" already exists.`;
          libxlError(host, l.process, "libxl_domain.c:81:libxl__domain_rename", text, l.domid);
        }),
        failWith("name taken", ERROR_INVAL),
      ]),
    ]),
  ],
);

/** Fails, and says so, where a domain does not have the name its renamer thinks it has. */
const checkOldName = routine(
  "check old name",
  (a: { process: string; t: number; domid: number; path: string; name: string }) => ({
    ...a,
    found: null as string | null,
  }),
  ({ call, step, when, failWith }) => [
    call(
      "read name",
      xsRead,
      ({ process, t, path }) => ({ process, t, path }),
      (l, found) => void (l.found = found),
    ),
    when("another", (l) => l.found !== l.name, [
      step("complain", (host, l) => {
        const [where, text] =
          l.found === null
            ? [
                "libxl_domain.c:90:libxl__domain_rename",
                `Check old name for domain allegedly named \`${l.name}': ${strerror("ENOENT")}`,
              ]
            : [
                "libxl_domain.c:96:libxl__domain_rename",
                `Allegedly named \`${l.name}' is actually named \`${l.found}' - racing ?`,
              ];
        libxlError(host, l.process, where, text, l.domid);
      }),
      failWith("not as thought", ERROR_FAIL),
    ]),
  ],
);

/** The writes of a rename, inside a transaction. */
const writeNames = routine(
  "write names",
  (a: {
    process: string;
    t: number;
    domid: number;
    home: string;
    oldName: string | null;
    newName: string;
  }) => ({
    ...a,
    uuid: "",
  }),
  ({ call, when, step }) => [
    call("unique", checkUnique, ({ process, domid, newName }) => ({ process, domid, name: newName })),
    when("renamed from", (l) => l.oldName !== null, [
      call("old name", checkOldName, ({ process, t, domid, home, oldName }) => ({
        process,
        t,
        domid,
        path: `${home}/name`,
        name: oldName as string,
      })),
    ]),
    call("write name", xsWrite, ({ process, t, home, newName }) => ({
      process,
      t,
      path: `${home}/name`,
      value: newName,
    })),
    step("libxl_domain_info", (host, l) => {
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) return info;
      l.uuid = info.uuid;
      return;
    }),
    call("write vm name", xsWrite, ({ process, t, uuid, newName }) => ({
      process,
      t,
      path: `/vm/${uuid}/name`,
      value: newName,
    })),
  ],
);

/**
 * Renames a domain, in the caller's transaction or, with `t` 0, in one of its
 * own. A stub domain that serves it would be renamed along with it.
 *
 * @param oldName the name it must have so far; null for whatever it has
 */
export const domainRename = routine(
  "libxl__domain_rename",
  (a: { process: string; t: number; domid: number; oldName: string | null; newName: string }) => ({
    process: a.process,
    outer: a.t,
    t: 0,
    domid: a.domid,
    oldName: a.oldName,
    newName: a.newName,
    home: "",
  }),
  (words) => {
    const { call, when } = words;
    const writes = (
      name: string,
      t: (l: { outer: number; t: number }) => number,
    ): Parameters<typeof when>[2][number] =>
      call(name, writeNames, (l) => ({
        process: l.process,
        t: t(l),
        domid: l.domid,
        home: l.home,
        oldName: l.oldName,
        newName: l.newName,
      }));
    return [
      call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
        l.home = home;
      }),
      call("stub domain", stubdomId, sameDomain),
      when(
        "part of a transaction",
        (l) => l.outer !== 0,
        [writes("write", (l) => l.outer)],
        [transaction(words, [writes("write in transaction", (l) => l.t)])],
      ),
    ];
  },
);
