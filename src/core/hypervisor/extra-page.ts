// SPDX-License-Identifier: Apache-2.0
//
// Pages the hypervisor allocates in a domain's name for its own use of it
// (MEMF_no_refcount, PGC_extra): they are no part of the memory the domain was
// given, and whoever allocated one gives it back.

import { must } from "../engine/cells.ts";
import { fail } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { domainCell, domainPagesCell } from "./domain.ts";
import { getDomain } from "./free.ts";
import { allocHeapPages } from "./heap.ts";
import { addExtraPage } from "./page.ts";

/** Allocates a page of that kind (alloc_domheap_page): ENOMEM, EINVAL for a dying domain. */
export function allocExtraPage(host: Host, domid: number): number | Failure {
  if (must(host, domainCell, domid).isDying !== "alive") return fail("EINVAL");
  const mfn = allocHeapPages(host, 0);
  if (mfn < 0) return fail("ENOMEM");
  addExtraPage(host, domid, mfn);
  const pages = host.edit(domainPagesCell, domid);
  pages.extraPages.push(mfn);
  pages.totPages++;
  if (pages.totPages === 1) getDomain(host, domid, { holder: "xen", kind: "pages", op: "assign_pages" });
  return mfn;
}
