// SPDX-License-Identifier: Apache-2.0
//
// What xl says of the host: info, dmesg, top (tools/xl/xl_info.c).

import { isFailure, present } from "../../engine/errno.ts";
import { stderr, stdout } from "../../daemons/process.ts";
import { readconsole } from "../../hypervisor/sysctl.ts";
import { freeCpus } from "../cpupool.ts";
import { dom0 } from "../libxl-ctx.ts";
import { reported } from "../log.ts";
import { getNumaInfo, getPhysinfo, getScheduler, getVersionInfo } from "../physinfo.ts";
import { uname } from "../uname.ts";
import { verb } from "../verb.ts";
import { formatInfo } from "../xl/format/info.ts";
import type { NumaInfo, PhysInfo } from "../xl/format/info.ts";
import * as say from "../xl/messages.ts";

export const infoVerb = verb(
  "info",
  ({ process, command }) => ({
    process,
    command,
    status: 0,
    phys: null as PhysInfo | null,
    numa: null as NumaInfo | null,
  }),
  ({ step, when }) => [
    step("libxl_get_physinfo", (host, l) => {
      const phys = getPhysinfo(host, l.process);
      const free = freeCpus(host, l.process);
      if (isFailure(phys)) return phys;
      if (isFailure(free)) return free;
      l.phys = { ...phys, freeCpus: free.length };
      return;
    }),
    when("topology", (l) => l.command.numa, [
      step("libxl_get_cpu_topology", (host, l) => {
        const numa = getNumaInfo(host, l.process);
        if (isFailure(numa)) return numa;
        l.numa = numa;
        return;
      }),
    ]),
    step("libxl_get_version_info", (host, l) => {
      const scheduler = getScheduler(host, l.process);
      if (isFailure(scheduler)) return scheduler;
      const info = {
        node: uname(host),
        phys: present(l.phys),
        xen: { ...getVersionInfo(host), scheduler },
      };
      return stdout(host, l.process, formatInfo(info, l.numa, l.command.only));
    }),
  ],
);

export const dmesgVerb = verb(
  "dmesg",
  ({ process, command }) => ({ process, command, status: 0, index: 0, done: false }),
  ({ repeatUntil, step }) => [
    repeatUntil("nothing left", (l) => l.done, [
      step("libxl_xen_console_read_line", (host, l) => {
        const { index, command } = l;
        const read = readconsole(host, dom0(l.process), { index, clear: command.clear });
        if (isFailure(read)) {
          const where = "libxl_console.c:772:libxl_xen_console_read_line";
          return reported(host, l.process, where, "reading console ring buffer", read);
        }
        l.index = read.index;
        l.done = read.text === "";
        return stdout(host, l.process, read.text);
      }),
    ]),
  ],
);

/** `xl top`: the shell does not find xentop in dom0, and what it says about that is lost in the exit status. */
export const topVerb = verb(
  "top",
  ({ process }) => ({ process, status: 0 }),
  ({ step }) => [step("system", (host, l) => stderr(host, l.process, say.noXentop))],
);
