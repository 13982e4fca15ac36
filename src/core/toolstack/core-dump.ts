// SPDX-License-Identifier: Apache-2.0
//
// Dumping a domain's memory into a file (tools/libs/guest/xg_core.c). No guest
// instruction runs here and most of its memory was never written, so the file
// has the sections' beginning only: which vCPUs there were.

import { textBytes, writeFile } from "../daemons/files.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { getvcpucontext } from "../hypervisor/domctl-vcpu.ts";
import { mapForeign, unmapForeign } from "../hypervisor/memory-op.ts";
import { domainVcpu } from "../hypervisor/vcpu.ts";
import { domainInfo } from "./dominfo.ts";
import { openForWriting } from "./host-files.ts";
import { dom0 } from "./libxl-ctx.ts";
import { reported, xcPerror } from "./log.ts";

/** The first bytes of every ELF file of 64 bits. */
const ELF_HEADER = "\x7fELF\x02\x01\x01";

/** Reads the vCPUs' registers, if any vCPU ever had some. */
function grabContexts(host: Host, process: string, domid: number, maxVcpuId: number): Uint8Array[] | Failure {
  const contexts: Uint8Array[] = [];
  for (let vcpu = 0; vcpu <= maxVcpuId; vcpu++) {
    const context = getvcpucontext(host, dom0(process), { domid, vcpu });
    if (!isFailure(context)) contexts.push(context.bytes);
  }
  if (contexts.length > 0) return contexts;
  xcPerror(host, process, "No VCPU context could be grabbed", "ENODATA");
  return fail("ENODATA");
}

/** Maps the top of a PV guest's page tables, below which its list of frames is, and lets it go again. */
function mapP2m(host: Host, process: string, domid: number): 0 | Failure {
  const cr3 = domainVcpu(host, domid, 0)?.cr3 ?? 0;
  const mapped = mapForeign(host, dom0(process), { domid, gfn: cr3, readonly: true });
  if (!isFailure(mapped)) return unmapForeign(host, dom0(process), { mfn: mapped.mfn, readonly: true });
  xcPerror(host, process, "Failed to map 1 page table pages for p2m list", mapped.errno);
  return mapped;
}

/** The dump as a file (xc_domain_dumpcore); libxc says itself what went wrong. */
function dumpcore(host: Host, process: string, domid: number, file: string): void | Failure {
  const opened = openForWriting(host, file);
  if (isFailure(opened)) {
    xcPerror(host, process, `Could not open corefile ${file}`, opened.errno);
    return opened;
  }
  const info = domainInfo(host, process, domid);
  if (isFailure(info)) {
    xcPerror(host, process, "Could not get info for domain", "ESRCH");
    return fail("ESRCH");
  }
  const shinfo = mapForeign(host, dom0(process), { domid, gfn: info.sharedInfoFrame, readonly: true });
  if (isFailure(shinfo) && !info.hvmGuest) {
    xcPerror(host, process, "Couldn't map live_shinfo", shinfo.errno);
    return shinfo;
  }
  const contexts = grabContexts(host, process, domid, info.maxVcpuId);
  const p2m = isFailure(contexts) || info.hvmGuest ? 0 : mapP2m(host, process, domid);
  if (!isFailure(shinfo)) unmapForeign(host, dom0(process), { mfn: shinfo.mfn, readonly: true });
  if (isFailure(contexts)) return contexts;
  if (isFailure(p2m)) return p2m;
  writeFile(
    host,
    file,
    Uint8Array.from([...textBytes(ELF_HEADER), ...contexts.flatMap((bytes) => [...bytes])]),
  );
}

/** Dumps a domain's core. Fails with ERROR_FAIL, and says so. */
export const domainCoreDump = routine(
  "libxl_domain_core_dump",
  (a: { process: string; domid: number; file: string }) => ({ ...a }),
  ({ step }) => [
    step("xc_domain_dumpcore", (host, l) => {
      const dumped = dumpcore(host, l.process, l.domid, l.file);
      if (!isFailure(dumped)) return undefined;
      const where = "libxl_domain.c:603:libxl_domain_core_dump";
      return reported(host, l.process, where, `Core dumping domain to ${l.file}`, dumped, l.domid);
    }),
  ],
);
