// SPDX-License-Identifier: Apache-2.0
//
// domctl: the context of translated domains.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../hvm-context.ts";
import { readBytes } from "./caller-memory.ts";
import type { DomctlCall, DomctlCommand } from "./domctl-call.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";

const U = abi.xen_domctl.u.offset;
/** No domain's context is larger. */
const CONTEXT_BYTES_MAX = 16 << 20;

const gethvmcontext = query("domctl gethvmcontext", op.gethvmcontext);
const sethvmcontext = operation("domctl sethvmcontext", op.sethvmcontext);
const gethvmcontextPartial = query("domctl gethvmcontext_partial", op.gethvmcontextPartial);

/** A null buffer asks for the size; ENOSPC for one that is too small. */
function get({ view, memory, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_hvmcontext;
  return prepare(gethvmcontext, { domid }, (data) => {
    const address = s.buffer.get(view, U);
    const room = s.size.get(view, U);
    if (address !== 0 && room < data.length) return fail("ENOSPC");
    const written = address === 0 ? 0 : memory.write(address, data);
    s.size.set(view, data.length, U);
    const told = copyBack();
    return isFailure(written) ? written : told;
  });
}

function set({ view, memory, domid }: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_hvmcontext;
  const size = s.size.get(view, U);
  if (size > CONTEXT_BYTES_MAX) return fail("ENOMEM");
  const data = readBytes(memory, s.buffer.get(view, U), size);
  return isFailure(data) ? data : prepare(sethvmcontext, { domid, data });
}

function getPartial({ view, memory, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_hvmcontext_partial;
  const asked = { domid, typecode: s.type.get(view, U), instance: s.instance.get(view, U) };
  return prepare(gethvmcontextPartial, asked, (record) => {
    const address = s.buffer.get(view, U);
    if (address !== 0 && s.bufsz.get(view, U) < record.length) return fail("ENOBUFS");
    const written = address === 0 ? 0 : memory.write(address, record);
    if (isFailure(written)) return written;
    s.bufsz.set(view, record.length, U);
    return copyBack();
  });
}

/** The commands of this file. */
export const hvmContextCommands: { readonly [command: number]: DomctlCommand } = {
  [X.XEN_DOMCTL_gethvmcontext]: get,
  [X.XEN_DOMCTL_sethvmcontext]: set,
  [X.XEN_DOMCTL_gethvmcontext_partial]: getPartial,
};
