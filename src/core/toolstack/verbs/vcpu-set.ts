// SPDX-License-Identifier: Apache-2.0
//
// vcpu-set (tools/xl/xl_vcpu.c, vcpuset).

import { fail, isFailure } from "../../engine/errno.ts";
import type { Errno } from "../../engine/errno.ts";
import { stderr } from "../../daemons/process.ts";
import { domainInfo } from "../dominfo.ts";
import { findNamed } from "../name.ts";
import { maxCpus } from "../physinfo.ts";
import { ERROR_DOMAIN_NOTFOUND, rcOf } from "../rc.ts";
import { setVcpuOnline } from "../vcpu.ts";
import { verb } from "../verb.ts";
import { parseVcpuCount } from "../xl/amounts.ts";
import * as say from "../xl/messages.ts";

export const vcpuSetVerb = verb(
  "vcpu-set",
  ({ process, command }) => ({ process, command, status: 0, domid: -1, count: 0, errno: "EIO" as Errno }),
  ({ call, step, attempt, failWith }) => [
    findNamed(call),
    step("check host", (host, l) => {
      const count = parseVcpuCount(l.command.vcpus);
      if (count === null) {
        stderr(host, l.process, say.invalidArgument);
        return fail("EINVAL");
      }
      l.count = count;
      if (l.command.ignoreHost) return undefined;
      const cpus = maxCpus(host, l.process);
      if (isFailure(cpus)) return cpus;
      const info = domainInfo(host, l.process, l.domid);
      if (isFailure(info)) return info;
      if (count <= info.nrOnlineVcpus || count <= cpus) return undefined;
      stderr(host, l.process, say.overcommitting(cpus, count));
      return fail("EINVAL");
    }),
    attempt([
      call("libxl_set_vcpuonline", setVcpuOnline, ({ process, domid, count }) => ({ process, domid, count })),
    ]).onError(
      (l, errno) => void (l.errno = errno),
      [
        step("complain", (host, { process, domid, count, errno }) => {
          const gone = errno === ERROR_DOMAIN_NOTFOUND;
          stderr(
            host,
            process,
            gone ? say.vcpuSetNoDomain(domid) : say.vcpuSetFailed(domid, count, rcOf(errno)),
          );
        }),
        failWith("not set", (l) => l.errno),
      ],
    ),
  ],
);
