// SPDX-License-Identifier: Apache-2.0
//
// xen-init-dom0: the nodes that say there is a Domain-0 and a Pool-0
// (tools/helpers/xen-init-dom0.c, init-dom0-domain nodes of libxl), and a stub of
// Domain-0's configuration (init-dom-json.c).

import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { exitProcess, spawnProcess } from "../daemons/process.ts";
import { xsClose, xsOpen } from "../daemons/xs-client.ts";
import { domainById, domainPagesCell } from "../hypervisor/domain.ts";
import { must } from "../engine/cells.ts";
import { storeConfig } from "./userdata.ts";
import { domainConfig } from "./xlcfg/domain-config.ts";
import { writeRequest, xsScript } from "./xs.ts";

const DOM0 = "/local/domain/0";

const initDom0 = routine(
  "xen-init-dom0",
  (a: { process: string }) => ({ ...a, targetKb: 0 }),
  ({ step, call }) => [
    step("xs_open", (host, l) => {
      xsOpen(host, l.process);
      const pages = domainById(host, 0) === undefined ? 0 : must(host, domainPagesCell, 0).totPages;
      l.targetKb = pages * 4;
      const stub = domainConfig.fromJson({ c_info: { type: "pv" }, b_info: { "type.pv": {} } });
      if (stub !== undefined) storeConfig(host, l.process, 0, stub);
    }),
    call("init nodes", xsScript, (l) => ({
      process: l.process,
      requests: [
        writeRequest(`${DOM0}/domid`, "0"),
        writeRequest(`${DOM0}/name`, "Domain-0"),
        writeRequest(`${DOM0}/memory/target`, String(l.targetKb)),
        writeRequest(`${DOM0}/memory/static-max`, String(l.targetKb)),
        writeRequest("/local/pool/0/name", "Pool-0"),
      ],
    })),
    step("exit", (host, l) => {
      xsClose(host, l.process);
      exitProcess(host, l.process, 0);
    }),
  ],
);

/** Starts xen-init-dom0; returns the process's name. */
export function spawnInitDom0(host: Host): string {
  return spawnProcess(host, "xen-init-dom0", ["xen-init-dom0"], initDom0, {}, { awaited: true });
}
