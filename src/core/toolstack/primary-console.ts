// SPDX-License-Identifier: Apache-2.0
//
// Which of a domain's consoles a user means who names none
// (tools/libs/light/libxl_console.c).

import { routine } from "../engine/routine.ts";
import { domainType, stubdomId } from "./dominfo.ts";
import { sameDomain } from "./same.ts";
import type { ConsoleType } from "./xenconsole.ts";

/** Which console of which domain is the one a user means (libxl__primary_console_find). */
export const primaryConsole = routine(
  "libxl__primary_console_find",
  (a: { process: string; domid: number }) => ({ ...a, stubdom: 0, type: "pv" as ConsoleType }),
  ({ call, when }) => [
    call("libxl_get_stubdom_id", stubdomId, sameDomain, (l, stubdom) => void (l.stubdom = stubdom)),
    when("no stub domain", (l) => l.stubdom === 0, [
      call("libxl__domain_type", domainType, sameDomain, (l, type) => {
        l.type = type === "hvm" ? "serial" : "pv";
      }),
    ]),
  ],
  (l) => l.type,
);
