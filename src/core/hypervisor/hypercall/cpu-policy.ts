// SPDX-License-Identifier: Apache-2.0
//
// CPU policies as arrays of leaves and registers, for sysctl and domctl.

import * as abi from "../../../abi/4.17/layout.ts";
import { bytesOf, getBig, setBig, viewOf } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../cpu-policy-op.ts";
import { MAX_LEAVES, MAX_MSRS, NO_SUBLEAF } from "../cpu-policy.ts";
import type { CpuPolicy, PolicyError } from "../cpu-policy.ts";
import type { CallerMemory } from "./caller-memory.ts";
import { readBytes, writeU32s } from "./caller-memory.ts";
import type { DomctlCall } from "./domctl-call.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";
import type { SysctlCall } from "./sysctl-call.ts";

const SYSCTL_U = abi.xen_sysctl.u.offset;
const DOMCTL_U = abi.xen_domctl.u.offset;
const systemPolicy = query("sysctl get_cpu_policy", op.systemPolicy);
const systemFeatureset = query("sysctl get_cpu_featureset", op.systemFeatureset);
const getPolicy = query("domctl get_cpu_policy", op.getCpuPolicy);
const setPolicy = operation("domctl set_cpu_policy", op.setCpuPolicy);

/** Addresses of the two arrays and how many entries each has room for. */
interface Buffers {
  readonly leaves: number;
  readonly msrs: number;
  readonly nrLeaves: number;
  readonly nrMsrs: number;
}

/** Fills the arrays; a null address asks how large they must be. ENOBUFS where one is too small. */
function putPolicy(
  memory: CallerMemory,
  to: Buffers,
  policy: CpuPolicy,
): { leaves: number; msrs: number } | Failure {
  if (to.leaves !== 0) {
    if (to.nrLeaves < policy.leaves.length) return fail("ENOBUFS");
    const words = policy.leaves.flatMap(({ leaf, subleaf, a, b, c, d }) => [leaf, subleaf, a, b, c, d]);
    const written = writeU32s(memory, to.leaves, words);
    if (isFailure(written)) return written;
  }
  if (to.msrs !== 0) {
    if (to.nrMsrs < policy.msrs.length) return fail("ENOBUFS");
    const { sizeof, idx, val } = abi.xen_msr_entry;
    const list = new DataView(new ArrayBuffer(policy.msrs.length * sizeof));
    for (const [i, { index, value }] of policy.msrs.entries()) {
      idx.set(list, index, i * sizeof);
      setBig(list, val, value, i * sizeof);
    }
    const written = memory.write(to.msrs, bytesOf(list));
    if (isFailure(written)) return written;
  }
  return {
    leaves: to.leaves === 0 ? MAX_LEAVES : policy.leaves.length,
    msrs: to.msrs === 0 ? MAX_MSRS : policy.msrs.length,
  };
}

function takePolicy(memory: CallerMemory, from: Buffers): CpuPolicy | Failure {
  if (from.nrLeaves > MAX_LEAVES || from.nrMsrs > MAX_MSRS) return fail("E2BIG");
  const l = abi.xen_cpuid_leaf;
  const m = abi.xen_msr_entry;
  const leaves =
    from.leaves === 0 ? new Uint8Array(0) : readBytes(memory, from.leaves, from.nrLeaves * l.sizeof);
  if (isFailure(leaves)) return leaves;
  const msrs = from.msrs === 0 ? new Uint8Array(0) : readBytes(memory, from.msrs, from.nrMsrs * m.sizeof);
  if (isFailure(msrs)) return msrs;
  const [leafView, msrView] = [viewOf(leaves), viewOf(msrs)];
  return {
    leaves: Array.from({ length: leaves.length / l.sizeof }, (_, i) => ({
      leaf: l.leaf.get(leafView, i * l.sizeof),
      subleaf: l.subleaf.get(leafView, i * l.sizeof),
      a: l.a.get(leafView, i * l.sizeof),
      b: l.b.get(leafView, i * l.sizeof),
      c: l.c.get(leafView, i * l.sizeof),
      d: l.d.get(leafView, i * l.sizeof),
    })),
    msrs: Array.from({ length: msrs.length / m.sizeof }, (_, i) => ({
      index: m.idx.get(msrView, i * m.sizeof),
      value: getBig(msrView, m.val, i * m.sizeof),
    })),
  };
}

/** XEN_SYSCTL_get_cpu_policy */
export function systemPolicyCommand({ view, memory, copyBack }: SysctlCall): Prepared | Failure {
  const s = abi.xen_sysctl_cpu_policy;
  const reserved = view.getUint32(SYSCTL_U + s.nr_msrs.offset + 4, true);
  if (reserved !== 0) return fail("EINVAL");
  return prepare(systemPolicy, { index: s.index.get(view, SYSCTL_U) }, (policy) => {
    const [leaves, msrs, nrLeaves, nrMsrs] = [s.leaves, s.msrs, s.nr_leaves, s.nr_msrs].map((f) =>
      f.get(view, SYSCTL_U),
    ) as [number, number, number, number];
    const counts = putPolicy(memory, { leaves, msrs, nrLeaves, nrMsrs }, policy);
    if (isFailure(counts)) return counts;
    s.nr_leaves.set(view, counts.leaves, SYSCTL_U);
    s.nr_msrs.set(view, counts.msrs, SYSCTL_U);
    return copyBack();
  });
}

/** XEN_SYSCTL_get_cpu_featureset: without an address, how many words there are; ENOBUFS where not all fitted. */
export function featuresetCommand({ view, memory, copyBack }: SysctlCall): Prepared | 0 | Failure {
  const s = abi.xen_sysctl_cpu_featureset;
  const address = s.features.get(view, SYSCTL_U);
  if (address === 0) {
    s.nr_features.set(view, op.FEATURE_WORDS, SYSCTL_U);
    return copyBack();
  }
  return prepare(systemFeatureset, { index: s.index.get(view, SYSCTL_U) }, (words) => {
    const listed = words.slice(0, s.nr_features.get(view, SYSCTL_U));
    const written = writeU32s(memory, address, listed);
    if (isFailure(written)) return written;
    s.nr_features.set(view, listed.length, SYSCTL_U);
    const told = copyBack();
    return !isFailure(told) && listed.length < words.length ? fail("ENOBUFS") : told;
  });
}

function domctlBuffers(view: DataView): Buffers {
  const s = abi.xen_domctl_cpu_policy;
  return {
    leaves: s.leaves.get(view, DOMCTL_U),
    msrs: s.msrs.get(view, DOMCTL_U),
    nrLeaves: s.nr_leaves.get(view, DOMCTL_U),
    nrMsrs: s.nr_msrs.get(view, DOMCTL_U),
  };
}

/** XEN_DOMCTL_get_cpu_policy */
export function domainPolicyCommand({ view, domid, memory, copyBack }: DomctlCall): Prepared {
  return prepare(getPolicy, { domid }, (policy) => {
    const counts = putPolicy(memory, domctlBuffers(view), policy);
    if (isFailure(counts)) return counts;
    abi.xen_domctl_cpu_policy.nr_leaves.set(view, counts.leaves, DOMCTL_U);
    abi.xen_domctl_cpu_policy.nr_msrs.set(view, counts.msrs, DOMCTL_U);
    return copyBack();
  });
}

/** XEN_DOMCTL_set_cpu_policy: where a policy is refused, the structure says which leaf or register is wrong. */
export function setPolicyCommand(call: DomctlCall): Prepared | Failure {
  const { host, caller, view, domid, memory, copyBack } = call;
  const target = op.policyTarget(host, caller, { domid });
  // The operation refuses it, and leaves its trace.
  if (isFailure(target)) return prepare(setPolicy, { domid });
  const policy = takePolicy(memory, domctlBuffers(view));
  const tell = ({ leaf, subleaf, msr }: PolicyError): 0 | Failure => {
    const s = abi.xen_domctl_cpu_policy;
    s.err_leaf.set(view, leaf, DOMCTL_U);
    s.err_subleaf.set(view, subleaf, DOMCTL_U);
    s.err_msr.set(view, msr, DOMCTL_U);
    return copyBack();
  };
  if (isFailure(policy)) {
    const told = tell({ leaf: NO_SUBLEAF, subleaf: NO_SUBLEAF, msr: NO_SUBLEAF });
    return isFailure(told) ? told : policy;
  }
  const failed = (failure: Failure): void => {
    if ("refused" in failure) tell((failure as op.PolicyRefused).refused);
  };
  return { ...prepare(setPolicy, { domid, policy }), failed };
}
