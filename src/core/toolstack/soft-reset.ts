// SPDX-License-Identifier: Apache-2.0
//
// A soft reset: the domain keeps its domid and its memory and gets everything
// else anew, as its kernel wants it for kexec (tools/libs/light/libxl_create.c,
// do_domain_soft_reset).

import { fail } from "../engine/errno.ts";
import type { Errno } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { domainCreate } from "./domain-create.ts";
import { domainDestroyState } from "./domain-destroy.ts";
import { complaining, libxlError } from "./log.ts";
import { ERROR_FAIL } from "./rc.ts";
import { missingNode, xsGetDomainPath, xsRead, xsReleaseDomain } from "./xs.ts";
import { sameDomain } from "./same.ts";

/** Where a domain's rings are and its console's terminal, as its nodes say; there must be a terminal. */
const currentRings = routine(
  "do_domain_soft_reset",
  (a: { process: string; domid: number }) => ({
    ...a,
    home: "",
    store: null as string | null,
    console: null as string | null,
    tty: null as string | null,
  }),
  ({ call, step }) => [
    call("libxl__xs_get_dompath", xsGetDomainPath, sameDomain, (l, home) => {
      l.home = home;
    }),
    call(
      "store/ring-ref",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/store/ring-ref` }),
      (l, value) => {
        l.store = value;
      },
    ),
    call(
      "console/ring-ref",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/console/ring-ref` }),
      (l, value) => {
        l.console = value;
      },
    ),
    call(
      "console/tty",
      xsRead,
      ({ process, home }) => ({ process, path: `${home}/console/tty` }),
      (l, value) => {
        l.tty = value;
      },
    ),
    step("has a terminal", (host, l) => {
      if (l.tty !== null) return undefined;
      missingNode(host, l.process, `${l.home}/console/tty`);
      libxlError(
        host,
        l.process,
        "libxl_create.c:2239:do_domain_soft_reset",
        "failed to read console/tty.",
        l.domid,
      );
      return fail(ERROR_FAIL);
    }),
  ],
  (l) => ({ storeMfn: Number(l.store ?? 0), consoleMfn: Number(l.console ?? 0), tty: l.tty ?? "" }),
);

/** Resets a domain from the process's create state; null, or why that failed. */
export const domainSoftReset = routine(
  "libxl_domain_soft_reset",
  (a: { process: string; domid: number }) => ({
    ...a,
    errno: "EIO" as Errno,
    failed: false,
    rings: { storeMfn: 0, consoleMfn: 0, tty: "" },
  }),
  (words) => {
    const { attempt, call } = words;
    return [
      attempt([
        call("rings", currentRings, sameDomain, (l, rings) => void (l.rings = rings)),
        // Backends disconnect from a domain that is not there; it is introduced again later.
        attempt([call("xs_release_domain", xsReleaseDomain, sameDomain)]).onError(() => {}, []),
        complaining(words)(
          { where: "libxl_create.c:2137:domain_soft_reset_cb", text: "destruction of domain failed." },
          [call("reset", domainDestroyState, ({ process, domid }) => ({ process, domid, reset: true }))],
        ),
        call(
          "create",
          domainCreate,
          ({ process, domid, rings }) => ({ process, domid, source: rings }),
          (l, made) => {
            l.failed = made.errno !== null;
            l.errno = made.errno ?? l.errno;
          },
        ),
      ]).onError((l, errno) => {
        l.failed = true;
        l.errno = errno;
      }, []),
    ];
  },
  ({ failed, errno }) => (failed ? errno : null),
);
