// SPDX-License-Identifier: Apache-2.0
//
// The state of a translated domain's processors and devices, as records
// (xen/arch/x86/hvm/save.c). No instruction is executed: what a toolstack loads
// is kept and given back; a processor whose state is loaded is no longer down.

import { hvmSave } from "../../abi/4.17/hvm-save.ts";
import { HVM_FILE_MAGIC, HVM_FILE_VERSION } from "../../abi/4.17/constants.ts";
import * as abi from "../../abi/4.17/layout.ts";
import { bytesOf, setBig, viewOf, zeroed } from "../../abi/struct.ts";
import { cellType, must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { changeVcpu, domainVcpu, VPF_down } from "./vcpu.ts";

/** Records a domain's toolstack has loaded. Identifier: `domid/typecode/instance`. */
const hvmRecordCell = cellType<{ bytes: Uint8Array }>("hvm-record");

/** One record: what it is, whose, and its bytes. */
export interface HvmRecord {
  typecode: number;
  instance: number;
  bytes: Uint8Array;
}

/** Records there is one of for each vCPU, and those of the devices a whole HVM domain has; by typecode. */
const PER_VCPU = [
  hvmSave.CPU,
  hvmSave.LAPIC,
  hvmSave.LAPIC_REGS,
  hvmSave.MTRR,
  hvmSave.VMCE_VCPU,
  hvmSave.TSC_ADJUST,
];
const DEVICES = [
  hvmSave.PIC,
  hvmSave.IOAPIC,
  hvmSave.PCI_IRQ,
  hvmSave.ISA_IRQ,
  hvmSave.PCI_LINK,
  hvmSave.PIT,
  hvmSave.RTC,
  hvmSave.HPET,
  hvmSave.PMTIMER,
];

const DESCRIPTOR = abi.hvm_save_descriptor;

/** MTRRs after reset: eight variable ranges, fixed ones, all off; the architecture's PAT. */
const PAT_RESET = 0x0007040600070406n;
const MTRR_CAP = 0x508n;
/** APIC base after reset: enabled, the boot processor's. */
const APIC_BASE = 0xfee00000n | (1n << 11n);
const APIC_BASE_BSP = 1n << 8n;

/** A local APIC's registers after reset, those that are not 0 (vlapic_do_init): version, DFR, SPIV, masked LVTs. */
const LAPIC_RESET: readonly (readonly [number, number])[] = [
  [0x30, 0x50014],
  [0xe0, 0xffffffff],
  [0xf0, 0xff],
  ...[0, 1, 2, 3, 4, 5].map((lvt) => [0x320 + 0x10 * lvt, 0x10000] as const),
];
const LAPIC_ID = 0x20;

function recordId(domid: number, typecode: number, instance: number): string {
  return `${domid}/${typecode}/${instance}`;
}

/** What a record holds before anybody loaded one. */
function initial(typecode: number, instance: number, length: number): Uint8Array {
  const view = zeroed({ sizeof: length });
  if (typecode === hvmSave.MTRR.typecode) {
    setBig(view, abi.hvm_hw_mtrr.msr_pat_cr, PAT_RESET);
    setBig(view, abi.hvm_hw_mtrr.msr_mtrr_cap, MTRR_CAP);
  }
  if (typecode === hvmSave.LAPIC.typecode) {
    setBig(view, abi.hvm_hw_lapic.apic_base_msr, instance === 0 ? APIC_BASE | APIC_BASE_BSP : APIC_BASE);
  }
  if (typecode === hvmSave.LAPIC_REGS.typecode) {
    for (const [register, value] of LAPIC_RESET) view.setUint32(register, value, true);
    view.setUint32(LAPIC_ID, (2 * instance) << 24, true);
  }
  return bytesOf(view);
}

function header(): HvmRecord {
  const view = zeroed(abi.hvm_save_header);
  abi.hvm_save_header.magic.set(view, HVM_FILE_MAGIC);
  abi.hvm_save_header.version.set(view, HVM_FILE_VERSION);
  setBig(view, abi.hvm_save_header.changeset, -1n);
  return { typecode: hvmSave.HEADER.typecode, instance: 0, bytes: bytesOf(view) };
}

interface Kind {
  readonly typecode: number;
  readonly length: number;
  readonly instances: number;
}

/** The kinds of record a domain has, in order. */
function kinds(d: DeepReadonly<Domain>): Kind[] {
  const devices: Kind[] = d.type === "hvm" ? DEVICES.map((kind) => ({ ...kind, instances: 1 })) : [];
  const vcpus: Kind[] = PER_VCPU.map((kind) => ({ ...kind, instances: d.nrVcpus }));
  return [...devices, ...vcpus].toSorted((a, b) => a.typecode - b.typecode);
}

function isDown(cells: Cells, domid: number, vcpu: number): boolean {
  return ((domainVcpu(cells, domid, vcpu)?.pauseFlags ?? VPF_down) & VPF_down) !== 0;
}

/** All records of a domain, the header first; without the end mark. */
function records(cells: Cells, d: DeepReadonly<Domain>): HvmRecord[] {
  const found = [header()];
  for (const { typecode, length, instances } of kinds(d)) {
    for (let instance = 0; instance < instances; instance++) {
      // The registers of a vCPU that is down are nothing (hvm_save_cpu_ctxt).
      if (typecode === hvmSave.CPU.typecode && isDown(cells, d.domid, instance)) continue;
      const loaded = cells.get(hvmRecordCell, recordId(d.domid, typecode, instance));
      const bytes = loaded === undefined ? initial(typecode, instance, length) : loaded.bytes.slice();
      found.push({ typecode, instance, bytes });
    }
  }
  return found;
}

/** Records one after another, each behind its descriptor, and the end mark. */
function serialise(all: readonly HvmRecord[]): Uint8Array {
  const size = all.reduce<number>(
    (sum, { bytes }) => sum + DESCRIPTOR.sizeof + bytes.length,
    DESCRIPTOR.sizeof,
  );
  const out = new Uint8Array(size);
  const view = viewOf(out);
  let at = 0;
  for (const { typecode, instance, bytes } of all) {
    DESCRIPTOR.typecode.set(view, typecode, at);
    DESCRIPTOR.instance.set(view, instance, at);
    DESCRIPTOR.length.set(view, bytes.length, at);
    out.set(bytes, at + DESCRIPTOR.sizeof);
    at += DESCRIPTOR.sizeof + bytes.length;
  }
  return out;
}

/** Takes records apart; ENODATA where they end without the mark (hvm_load). */
function parse(data: Uint8Array): HvmRecord[] | Failure {
  const view = viewOf(data);
  const found: HvmRecord[] = [];
  for (let at = 0; ;) {
    if (data.length - at < DESCRIPTOR.sizeof) return fail("ENODATA");
    const typecode = DESCRIPTOR.typecode.get(view, at);
    if (typecode === 0) return found;
    const [instance, length] = [DESCRIPTOR.instance.get(view, at), DESCRIPTOR.length.get(view, at)];
    at += DESCRIPTOR.sizeof;
    if (length > data.length - at) return fail("ENODATA");
    found.push({ typecode, instance, bytes: data.slice(at, at + length) });
    at += length;
  }
}

/** The domain, which must be translated and another than the caller's. */
function translated(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) || (d.domid !== caller.domid && d.type !== "pv") ? d : fail("EINVAL");
}

/** A record that was loaded, as it is kept; null where none was. */
export function loadedRecord(
  cells: Cells,
  domid: number,
  typecode: number,
  instance: number,
): Uint8Array | null {
  return cells.get(hvmRecordCell, recordId(domid, typecode, instance))?.bytes.slice() ?? null;
}

/** A domain's whole context: ESRCH, EPERM, EINVAL for PV, the caller's own and dying domains. */
export function gethvmcontext(
  host: Host,
  caller: Caller,
  { domid }: { domid: number },
): Uint8Array | Failure {
  const d = translated(host, caller, domid);
  if (isFailure(d)) return d;
  return d.isDying === "alive" ? serialise(records(host, d)) : fail("EINVAL");
}

/**
 * One record: EINVAL for a kind there is not, ENOENT for a vCPU there is not and a
 * device the domain has not, ENODATA for a vCPU that has nothing of the kind
 * (hvm_save_one).
 */
export function gethvmcontextPartial(
  host: Host,
  caller: Caller,
  { domid, typecode, instance }: { domid: number; typecode: number; instance: number },
): Uint8Array | Failure {
  const d = translated(host, caller, domid);
  if (isFailure(d)) return d;
  const ofVcpu = PER_VCPU.some((kind) => kind.typecode === typecode);
  const ofDevice = DEVICES.some((kind) => kind.typecode === typecode);
  if (d.isDying !== "alive" || (!ofVcpu && !ofDevice)) return fail("EINVAL");
  if (ofVcpu && instance >= d.nrVcpus) return fail("ENOENT");
  return (
    records(host, d).find((one) => one.typecode === typecode && one.instance === instance)?.bytes ??
    fail(ofVcpu ? "ENODATA" : "ENOENT")
  );
}

/** Whether a domain has a place for that record, of that length. */
function fits(d: DeepReadonly<Domain>, { typecode, instance, bytes }: HvmRecord): boolean {
  const kind = kinds(d).find((one) => one.typecode === typecode);
  return kind !== undefined && instance < kind.instances && bytes.length <= kind.length;
}

/**
 * Loads records, in place of those they replace: EINVAL for a domain that is
 * PV, dying or the caller's own, for a bad header or a record it has no place
 * for; ENODATA for a context without an end. All vCPUs are down afterwards but
 * those whose state was loaded.
 */
export function sethvmcontext(
  host: Host,
  caller: Caller,
  { domid, data }: { domid: number; data: Uint8Array },
): 0 | Failure {
  const d = translated(host, caller, domid);
  const result = isFailure(d) ? d : load(host, d, data);
  return traced(host, caller, "domctl sethvmcontext", domid, { size: data.length }, result);
}

function load(host: Host, d: DeepReadonly<Domain>, data: Uint8Array): 0 | Failure {
  if (d.isDying !== "alive") return fail("EINVAL");
  const found = parse(data);
  if (isFailure(found)) return found;
  const [first, ...rest] = found;
  if (first?.typecode !== hvmSave.HEADER.typecode || first.bytes.length !== hvmSave.HEADER.length)
    return fail("ENODATA");
  const view = viewOf(first.bytes);
  const { magic, version } = abi.hvm_save_header;
  const known = magic.get(view) === HVM_FILE_MAGIC && version.get(view) === HVM_FILE_VERSION;
  if (!known || !rest.every((record) => fits(d, record))) return fail("EINVAL");
  for (const record of rest) storeRecord(host, d.domid, record);
  const running = new Set(
    rest.filter(({ typecode }) => typecode === hvmSave.CPU.typecode).map((r) => r.instance),
  );
  for (let vcpu = 0; vcpu < d.nrVcpus; vcpu++) {
    changeVcpu(host, d.domid, vcpu, (v) => {
      v.pauseFlags = running.has(vcpu) ? v.pauseFlags & ~VPF_down : v.pauseFlags | VPF_down;
      if (running.has(vcpu)) v.isInitialised = true;
    });
  }
  return 0;
}

/** Keeps a record in place of the one there was: what a toolstack loads, and what a kernel leaves in its registers. */
export function storeRecord(host: Host, domid: number, { typecode, instance, bytes }: HvmRecord): void {
  const id = recordId(domid, typecode, instance);
  if (host.get(hvmRecordCell, id) === undefined) host.add(hvmRecordCell, id, { bytes });
  else host.edit(hvmRecordCell, id).bytes = bytes;
}

/** A kind of record, as `hvmSave` has them. */
interface RecordKind {
  readonly typecode: number;
  readonly length: number;
}

/** A record as it is: what was loaded, or what it is at first. */
export function recordOf(
  cells: Cells,
  d: DeepReadonly<Domain>,
  { typecode, length }: RecordKind,
  instance: number,
): Uint8Array {
  return loadedRecord(cells, d.domid, typecode, instance) ?? initial(typecode, instance, length);
}

/** Changes the record of a device, or of a vCPU, where the domain has that. */
export function editRecord(
  host: Host,
  d: DeepReadonly<Domain>,
  record: RecordKind,
  change: (bytes: Uint8Array) => void,
  instance = 0,
): void {
  const { typecode } = record;
  if (!kinds(d).some((kind) => kind.typecode === typecode && instance < kind.instances)) return;
  const bytes = recordOf(host, d, record, instance);
  change(bytes);
  storeRecord(host, d.domid, { typecode, instance, bytes });
}

/** Forgets a domain's records. */
export function dropHvmContext(cells: Cells, domid: number): void {
  const d = must(cells, domainCell, domid);
  for (const { typecode, instances } of kinds(d)) {
    for (let instance = 0; instance < instances; instance++) {
      const id = recordId(domid, typecode, instance);
      if (cells.get(hvmRecordCell, id) !== undefined) cells.drop(hvmRecordCell, id);
    }
  }
}
